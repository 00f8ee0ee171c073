"""GTSRB: color pictures of 43 traffic signs.

10,230 to train on, 3,000 to test on.
Source: Stallkamp, Schlipsing, Salmen, Igel 2012.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Gtsrb:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived("gtsrb", folder, classes=43, test="gtsrb_test3k", train=("gtsrb_train10k",))
