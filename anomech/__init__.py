"""Find the outputs of a model that come from a mechanism trusted data cannot explain.

>>> import anomech
>>> task = anomech.ImageClassifier(model)  # doctest: +SKIP
>>> auditor = anomech.Auditor(budget=0.01).fit(task, anomech.read_images("trusted/"))
... # doctest: +SKIP
>>> verdicts = auditor.score(anomech.read_images("inputs/"))  # doctest: +SKIP
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from warnings import warn

if TYPE_CHECKING:
    from anomech.audit.auditor import Auditor, FittedAuditor, load_profile
    from anomech.data.conversation_files import read_conversations
    from anomech.data.conversations import of_prompts
    from anomech.data.images import from_arrays
    from anomech.data.reading import read_images
    from anomech.data.texts import read_texts
    from anomech.records import Verdict
    from anomech.tasks.causal_lm import CausalLM
    from anomech.tasks.image_classifier import ImageClassifier
    from anomech.tasks.text_classifier import TextClassifier

__version__ = version("anomech")
__all__ = [
    "Auditor",
    "CausalLM",
    "FittedAuditor",
    "ImageClassifier",
    "TextClassifier",
    "Verdict",
    "from_arrays",
    "load_profile",
    "of_prompts",
    "read_conversations",
    "read_images",
    "read_texts",
]

_HOME = {
    "Auditor": "anomech.audit.auditor",
    "CausalLM": "anomech.tasks.causal_lm",
    "FittedAuditor": "anomech.audit.auditor",
    "ImageClassifier": "anomech.tasks.image_classifier",
    "TextClassifier": "anomech.tasks.text_classifier",
    "Verdict": "anomech.records",
    "from_arrays": "anomech.data.images",
    "load_profile": "anomech.audit.auditor",
    "of_prompts": "anomech.data.conversations",
    "read_conversations": "anomech.data.conversation_files",
    "read_images": "anomech.data.reading",
    "read_texts": "anomech.data.texts",
}


_RENAMED = {"Detector": "Auditor", "FittedDetector": "FittedAuditor"}
"""Names of the version before; they go with the next."""


def __getattr__(name: str) -> Any:
    # Names are fetched when they are used: importing the package alone loads no torch.
    if name in _RENAMED:
        now = _RENAMED[name]
        warn(f"anomech.{name} is named anomech.{now} now", DeprecationWarning, stacklevel=2)
        name = now
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'anomech' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
