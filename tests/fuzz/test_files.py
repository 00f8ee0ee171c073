"""Any damage to a file of arrays, a picture or a list of pictures is one short sentence."""

import io

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anomech.data.reading import Reading, read_images
from anomech.kernel.errors import DataError
from tests.support.refusals import refusal

QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)


def written(write):
    stream = io.BytesIO()
    write(stream)
    return stream.getvalue()


FILES = {
    "a.npy": written(lambda stream: np.save(stream, IMAGES)),
    "a.npz": written(lambda stream: np.savez(stream, images=IMAGES, labels=np.arange(4))),
    "b.npz": written(lambda stream: np.savez_compressed(stream, x_test=IMAGES, ids=list("abcd"))),
    "a.png": written(lambda stream: Image.fromarray(IMAGES[0]).save(stream, "PNG")),
    "a.jpg": written(lambda stream: Image.fromarray(IMAGES[0]).save(stream, "JPEG")),
    "a.gif": written(lambda stream: Image.fromarray(IMAGES[0]).save(stream, "GIF")),
    "a.tif": written(lambda stream: Image.fromarray(IMAGES[0]).save(stream, "TIFF")),
    "a.csv": b"path,label\na.png,1\n",
}


def check(folder, name, data, **options):
    """The file is read, or refused in one short sentence."""
    for left in folder.iterdir():
        left.unlink()
    (folder / name).write_bytes(data)
    path = folder / name if name.endswith((".npy", ".npz", ".csv")) else folder

    def read():
        examples = read_images(path, **options)
        examples.load(np.arange(len(examples)))
        assert len(list(examples.ids)) == len(examples)

    assert isinstance(refusal(read), DataError | None)


@given(st.sampled_from(sorted(FILES)), st.data())
@QUICK
def test_any_damaged_file(tmp_path, name, data):
    whole = FILES[name]
    place = data.draw(st.integers(0, len(whole)))
    kind = data.draw(st.sampled_from(["cut", "flip", "put", "zeros"]))
    some = data.draw(st.binary(min_size=1, max_size=12))
    made = {
        "cut": whole[:place],
        "flip": whole[:place] + some + whole[place + len(some) :],
        "put": whole[:place] + some + whole[place:],
        "zeros": whole[:place] + bytes(64) + whole[place + 64 :],
    }[kind]
    check(tmp_path, name, made)


@given(st.text(st.characters(codec="latin-1"), max_size=100))
@QUICK
def test_any_header_of_an_array(tmp_path, text):
    header = text.encode("latin-1")
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(60)
    check(tmp_path, "a.npy", data)


def test_headers_that_were_met(tmp_path):
    for header in (
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-4, -5, 6, 3)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999, 1, 1, 1)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",)}",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 1, 1, 1)}",
        "(" * 9000,
        "{'descr': [('a', '|u1')] , 'fortran_order': 0, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
    ):
        data = header.encode()
        check(tmp_path, "a.npy", b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data)


@given(st.lists(st.text(max_size=8), max_size=12), st.integers(0, 40), st.integers(0, 40))
@QUICK
def test_any_manifest_and_any_fit(tmp_path, cells, resize, crop):
    text = "path,label\n" + "\n".join(cells)
    check(tmp_path, "a.csv", text.encode("utf-8", "surrogatepass"))
    fit = Reading(resize=resize, crop=crop)
    check(tmp_path, "a.png", FILES["a.png"], reading=fit)
