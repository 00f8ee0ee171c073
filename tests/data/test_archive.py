"""The image archives of an ANOMECH_DATA folder, on the real files."""

import os
from pathlib import Path

import numpy as np
import pytest

from anomech.data.archive import read_archive
from anomech.kernel.errors import DataError

FOLDER = Path(os.environ.get("ANOMECH_DATA", "")) / "vision"
real = pytest.mark.skipif(
    not (os.environ.get("ANOMECH_DATA") and FOLDER.is_dir()),
    reason="needs the real images; set ANOMECH_DATA to the folder that holds vision/",
)


@real
def test_color_archive_has_the_published_statistics():
    images, labels = read_archive(FOLDER / "cifar10_test8k.npz")
    assert images.shape == (8000, 32, 32, 3)
    assert np.array_equal(np.bincount(labels), np.full(10, 800))
    means = images.mean(axis=(0, 1, 2)) / 255
    assert means == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.01)


@real
def test_gray_archive():
    images, labels = read_archive(FOLDER / "mnist_test4k.npz")
    assert images.shape == (4000, 28, 28, 1)
    assert images.mean() / 255 == pytest.approx(0.1307, abs=0.01)
    assert set(labels) == set(range(10))


def test_a_missing_archive_is_one_sentence(tmp_path):
    with pytest.raises(DataError, match="ANOMECH_DATA"):
        read_archive(tmp_path / "none.npz")
