"""MNIST: gray handwritten digits of 28x28 pixels.

20,000 to train on, 4,000 to test on.
Source: LeCun, Bottou, Bengio, Haffner 1998.
Needs: a folder of image archives.
"""

from pathlib import Path

from anomech.datasets._archives import archived
from anomech.kernel.config import options
from anomech.roles.dataset import Parts


@options
class Mnist:
    """Images in `vision/*.npz` of the folder that ANOMECH_DATA names."""

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`."""
        return archived("mnist", folder, classes=10, test="mnist_test4k", train=("mnist_train20k",))
