"""Tiny-ImageNet: color pictures of 200 kinds, some of them CIFAR-10's.

4,000, as foreign images.
Source: Le, Yang 2015; a part of ImageNet.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Tinyimagenet:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived("tinyimagenet", folder, classes=200, test="tinyimagenet_val4k_32")
