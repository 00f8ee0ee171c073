"""Fashion-MNIST: gray pictures of ten kinds of clothes.

900, as foreign images.
Source: Xiao, Rasul, Vollgraf 2017.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Fashionmnist:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived("fashionmnist", folder, classes=10, test="fashionmnist_900")
