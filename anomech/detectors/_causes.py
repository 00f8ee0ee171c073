"""What flags of attribution may be due to, in words for people."""

from anomech.kernel.detector import Cause

UNEXPLAINED = Cause(
    "unexplained mechanism",
    "trusted examples with the same answer explain too little of how this answer comes about",
    "Look for a mark, pattern or phrase that flagged inputs share and trusted ones lack.",
)
OTHER_CLASS = Cause(
    "mechanism of another class",
    "the answer comes about as trusted examples of another class do",
    "Compare the input with its nearest trusted examples: is it theirs, with something added?",
)
UNFAMILIAR = Cause(
    "unfamiliar input",
    "the input is unlike anything trusted",
    "Check where it comes from; if it belongs to the task, add such examples to the trusted set.",
)
CONFIDENCE = Cause(
    "implausible confidence",
    "the model is surer or less sure of its answer than it is of trusted examples",
    "Do not rely on the model's confidence here; check the answer by other means.",
)
