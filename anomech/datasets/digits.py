"""Digits: 1,797 gray handwritten digits of 8x8 pixels that come with scikit-learn.

Source: Alpaydin, Kaynak 1998; the test part of their set.
Needs: nothing.
"""

from functools import partial
from pathlib import Path

from anomech.data.digits import load_digits
from anomech.data.splits import stratified
from anomech.kernel.config import option, options
from anomech.roles.dataset import Part, Parts


@options
class Digits:
    """Digits, split by class."""

    share: float = option(
        0.45, "share that is trained on; the rest has to fill all other roles", gt=0, le=0.95
    )

    def parts(self, folder: Path | None) -> Parts:
        """See `anomech.roles.dataset.Dataset`; no folder is needed."""
        return Parts(10, partial(self._part, 1), partial(self._part, 0))

    def _part(self, number: int) -> Part:
        images, labels = load_digits()
        shares = (self.share, 1 - self.share)
        places = stratified(labels, shares, seed=0, purpose="digits")[number]
        return images[places], labels[places]
