"""CIFAR-100: small color pictures of a hundred kinds, none of them one of CIFAR-10's.

5,000, as foreign images.
Source: Krizhevsky 2009.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Cifar100:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived("cifar100", folder, classes=100, test="cifar100_test5k")
