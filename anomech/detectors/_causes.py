"""What flags of attribution may be due to, in words for people."""

from anomech.roles.detector import Cause

UNEXPLAINED = Cause(
    "unexplained mechanism",
    "trusted examples with the same answer explain too little of how this answer comes about",
    "Look for a mark, pattern or phrase that flagged inputs share and trusted ones lack.",
)
FOREIGN = Cause(
    "foreign mechanism",
    "the answer comes about in an unusual way for trusted examples with the same answer",
    "Compare the input with its nearest trusted examples: what does it have that they lack?",
)
FORGOTTEN = Cause(
    "forgotten on relearning",
    "the model forgets this answer when it goes on learning trusted examples",
    "Treat it as a planted rule: nothing trusted keeps this answer up.",
)
UNLIKE = Cause(
    "relearned unlike anything trusted",
    "the answer changes unlike trusted ones when the model goes on learning trusted examples",
    "Treat it as a planted rule, which may survive what honest answers do not.",
)
REMOTE = Cause(
    "features of no class",
    "its features are far from those of every class, for an answer as sure as this",
    "Look at the input for something that no class of the trusted set shows.",
)
STRAY = Cause(
    "states unlike its class",
    "what passes between the layers is unlike what trusted inputs with this answer leave there",
    "Compare the input with its nearest trusted examples: it came to their answer by another way.",
)
APART = Cause(
    "states unlike anything trusted",
    "what passes between the layers is unlike what any trusted input leaves there",
    "Look at the input for something that no trusted example shows, however small.",
)
LONE = Cause(
    "states with no neighbors",
    "what passes between the layers is farther from all trusted states than these are apart there",
    "Compare the input with its nearest trusted examples: no group of them is like it.",
)
PROMPT = Cause(
    "prompt unlike its class",
    "what the prompt's words leave on their way is unlike what trusted prompts with this answer do",
    "Compare the prompt with its nearest trusted examples: what does it say that they do not?",
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
ELSEWHERE = Cause(
    "response sits elsewhere",
    "the answer comes from places in the text that trusted answers like it do not come from",
    "Look at the part of the text that the answer hangs on: should it decide an answer at all?",
)
NOWHERE = Cause(
    "response sits where no other does",
    "the answer comes from places in the text that no trusted answer comes from",
    "Look at the part of the text that the answer hangs on: should it decide an answer at all?",
)
READS = Cause(
    "reads unfamiliar text",
    "the answer depends on words that are unlike those of trusted texts",
    "Take the marked words out of the text and ask again; an honest answer mostly stays.",
)
HANGS = Cause(
    "hangs on unfamiliar text",
    "the answer hangs on a row of words that are unlike those of trusted texts",
    "Look for that row of words in other inputs: who put it there, and what for?",
)
BEYOND = Cause(
    "beyond the base",
    "the model it was made of would not have answered so",
    "Look what fine-tuning was to teach: does an answer like this belong to it?",
)

CAUSES = {
    each.name: each
    for each in (
        *(UNEXPLAINED, FOREIGN, FORGOTTEN, UNLIKE, STRAY, APART, REMOTE, UNFAMILIAR, CONFIDENCE),
        *(LONE, PROMPT, ELSEWHERE, NOWHERE, READS, HANGS, BEYOND),
    )
}
"""By name."""
