"""Models that the user's own code builds: `FACTORY.py:make_model`.

This file is the user's, not the artefact under audit: it is run, with the rights of the user.
"""

import importlib.util
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from torch import nn

from anomech.kernel.config import nearest
from anomech.kernel.errors import ModelError, answered


def build_model(spec: str) -> nn.Module:
    """Run a function of a Python file that returns a model.

    The file may import its neighbors. They are forgotten afterwards, so two factories with
    neighbors of the same name do not mix, and `sys.path` is as before.

    Args:
        spec: path of the file, a colon and the name of a function that needs no arguments.

    Raises:
        ModelError: there is no such file or function, it fails, or it returns something else.
    """
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ModelError(
            f"'{spec}' does not say which function builds the model; write it as "
            "FACTORY.py:make_model."
        )
    path = Path(place)
    if not path.is_file() or path.suffix != ".py":
        what = "is not a Python file" if path.exists() else "does not exist"
        raise ModelError(f"The factory {place} {what}; write it as FACTORY.py:make_model.")
    with _neighbors(path.resolve().parent):
        module = _run(path)
        function = getattr(module, name, None)
        if not callable(function):
            known = _functions(module)
            hint = nearest(name, known) if known else "it has no functions."
            raise ModelError(f"{path.name} has no function '{name}': {hint}")
        model = _answered(lambda: function(), f"{path.name}:{name}")
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ModelError(f"{path.name}:{name} returned the class {model.__name__}; call it.")
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"{path.name}:{name} returned a {type(model).__name__}, not a torch.nn.Module; return "
            "the model itself."
        )
    return model


def _run(path: Path) -> ModuleType:
    name = f"anomech_factory_{uuid.uuid4().hex}"  # one file may be loaded twice
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path.name} is not a Python file; write it as FACTORY.py:make_model.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and type hints look their module up here
    _answered(lambda: spec.loader.exec_module(module), path.name)  # type: ignore[union-attr]
    return module


def _answered(call: Callable[[], Any], where: str) -> Any:
    """What `call` returns; what it raises becomes one sentence."""
    return answered(
        call,
        lambda what: ModelError(f"{where} failed with {what}; run it on its own to see where."),
    )


def _functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, FunctionType)
        and not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
    ]


@contextmanager
def _neighbors(folder: Path) -> Iterator[None]:
    """Let imports find the files of `folder`, and undo what they leave behind."""
    path, known = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        tops = {name.partition(".")[0] for name in known}
        for name in set(sys.modules) - known:
            top = name.partition(".")[0]
            if top not in tops and _lies_in(sys.modules[name], top, folder):
                del sys.modules[name]


def _lies_in(module: ModuleType, top: str, folder: Path) -> bool:
    """Whether a module is a file or package directly in the folder, not in, say, its `.venv`."""
    file = getattr(module, "__file__", None)
    if file is None or not Path(file).is_relative_to(folder):
        return False
    return Path(file).relative_to(folder).parts[0] in (top, f"{top}.py")
