"""Handwritten digits that come with scikit-learn: real data with no download."""

import numpy as np


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 digits: images uint8 `[1797, 8, 8, 1]` from 0 to 255, labels int64 `[1797]`.

    The set is the test part of Alpaydin and Kaynak's "Optical recognition of handwritten digits"
    (UCI, 1998); its 17 grey levels are spread over the range of a byte.
    """
    from sklearn import datasets  # slow to import, and not needed to know the function

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return images[..., None], digits.target.astype(np.int64)
