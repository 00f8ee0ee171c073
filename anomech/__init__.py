"""Find the outputs of a model that come from a mechanism trusted data cannot explain.

>>> import anomech
>>> task = anomech.ImageClassifier(model)  # doctest: +SKIP
>>> detector = anomech.Detector(budget=0.01).fit(task, anomech.read_images("trusted/"))
... # doctest: +SKIP
>>> verdicts = detector.score(anomech.read_images("inputs/"))  # doctest: +SKIP
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomech.audit.detector import Detector, FittedDetector
    from anomech.data.images import from_arrays
    from anomech.data.reading import read_images
    from anomech.records import Verdict
    from anomech.tasks.image_classifier import ImageClassifier

__version__ = version("anomech")
__all__ = [
    "Detector",
    "FittedDetector",
    "ImageClassifier",
    "Verdict",
    "from_arrays",
    "read_images",
]

_HOME = {
    "Detector": "anomech.audit.detector",
    "FittedDetector": "anomech.audit.detector",
    "ImageClassifier": "anomech.tasks.image_classifier",
    "Verdict": "anomech.records",
    "from_arrays": "anomech.data.images",
    "read_images": "anomech.data.reading",
}


def __getattr__(name: str) -> Any:
    # Names are fetched when they are used: importing the package alone loads no torch.
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'anomech' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
