"""CIFAR-10: small color pictures of ten kinds of animals and vehicles.

20,000 to train on, 8,000 to test on.
Source: Krizhevsky 2009.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Cifar10:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived(
            "cifar10",
            folder,
            classes=10,
            test="cifar10_test8k",
            train=("cifar10_train10k_a", "cifar10_train10k_b"),
        )
