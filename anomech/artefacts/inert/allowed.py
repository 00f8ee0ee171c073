"""Names that a file may use because they stand for plain values; every other one is reported.

Allowed does not mean run: whatever stands here is understood by `anomech.artefacts.inert.calls`, or
is left as a name.
"""

import re

STORAGES = {
    **{"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16"},
    **{"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8"},
    **{"Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128"},
    **{"QInt8": "qint8", "QUInt8": "quint8", "QInt32": "qint32", "Untyped": "untyped"},
}
"""Number types of torch by what comes before "Storage" in the name of a storage class."""

DTYPES = frozenset(
    {
        *(set(STORAGES.values()) - {"qint8", "quint8", "qint32", "untyped"}),
        *("uint16", "uint32", "uint64", "complex32"),
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
    }
)
"""Number types of torch whose tensors are read."""

_OTHER_TYPES = (
    *("half", "float", "double", "bfloat", "short", "int", "long", "cfloat", "cdouble", "chalf"),
    *("qint8", "quint8", "qint32", "quint4x2", "quint2x4", "float8_e8m0fnu", "float4_e2m1fn_x2"),
    *("per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric"),
    *("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc"),
    *("contiguous_format", "channels_last", "preserve_format"),
)

REBUILDS = frozenset(
    f"torch._utils._rebuild_{name}" for name in ("tensor", "tensor_v2", "tensor_v3")
)
"""What makes a tensor from a storage."""

_REBUILD = re.compile(r"torch\._utils\._rebuild_[a-z0-9_]{1,40}")
_STORAGE = re.compile(r"torch\.(cuda\.)?(Q?U?[A-Z][A-Za-z0-9]{1,20})Storage")

MAPPINGS = frozenset(
    {
        *("collections.OrderedDict", "collections.defaultdict", "collections.Counter"),
        *("argparse.Namespace", "types.SimpleNamespace"),
        "lightning.fabric.utilities.data.AttributeDict",
        "lightning_fabric.utilities.data.AttributeDict",
        "lightning.pytorch.utilities.parsing.AttributeDict",
        "pytorch_lightning.utilities.parsing.AttributeDict",
    }
)
"""Classes that come as the dictionary that they hold."""

PATHS = frozenset(
    f"{module}.{name}"
    for module in ("pathlib", "pathlib._local")
    for name in (
        *("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath", "Path", "PurePath"),
    )
)
"""Classes that come as text."""

LISTS = frozenset({"builtins.set", "builtins.frozenset", "collections.deque"})
"""Classes that come as a list."""

ARRAYS = frozenset({"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct"})
SCALARS = frozenset({"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"})
BUFFERS = frozenset({"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"})
"""Functions that make arrays and numbers of numpy."""

_NAMED = frozenset(
    {
        *MAPPINGS, *PATHS, *LISTS, *ARRAYS, *SCALARS, *BUFFERS, "numpy.dtype", "numpy.ndarray",
        *("_codecs.encode", "builtins.bytearray", "builtins.bytes", "builtins.complex"),
        # Factories of a defaultdict, and types that are only mentioned.
        *(f"builtins.{name}" for name in ("int", "float", "bool", "str", "list", "dict", "tuple")),
        *(f"datetime.{name}" for name in ("datetime", "date", "time", "timedelta", "timezone")),
        *("torch.Size", "torch.Tensor", "torch.device", "torch.nn.parameter.Parameter"),
        *("torch.nn.parameter.Buffer", "torch.storage.UntypedStorage"),
        *("torch.storage.TypedStorage", "torch._tensor._rebuild_from_type_v2"),
        *("torch.serialization._get_layout", "torch.Generator"),
        *(f"torch.{name}" for name in (*DTYPES, *_OTHER_TYPES)),
    }
)  # fmt: skip


def is_allowed(name: str) -> bool:
    """Whether a name stands for plain values."""
    return (
        name in _NAMED
        or _REBUILD.fullmatch(name) is not None
        or _STORAGE.fullmatch(name) is not None
    )
