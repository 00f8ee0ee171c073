"""Textures: color pictures of ten of the Describable Textures.

1,200, as foreign images.
Source: Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi 2014.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Textures:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived("textures", folder, classes=10, test="dtd10_1200_32")
