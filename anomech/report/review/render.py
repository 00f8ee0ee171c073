"""The report of a review: one HTML page that leads to those of its steps."""

from pathlib import Path

from anomech import records
from anomech.report.page import write_page
from anomech.report.words import number, percent

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"

HEADLINES = {
    "clean": ("Nothing was found.", "calm"),
    "repaired": ("A mechanism was found, and its repair is verified.", "calm"),
    "not clean": ("The model is not clean.", "alarm"),
    "inconclusive": ("The review gives no verdict.", "open"),
}

STEPS = {
    "clean": (
        "Keep this report with the model.",
        "Judge its traffic with anomech audit: a review sees the inputs that it was given.",
    ),
    "repaired": (
        "Use the repaired weights; the repair's own report says where they are.",
        "Find out how the mechanism came into the model: whoever planted it may do it again.",
        "Judge its traffic with anomech audit.",
    ),
    "not clean": (
        "Do not deploy the model.",
        "Read what the last repair failed, and try other methods or more trusted examples.",
        "If the training data are at hand, remove what was flagged and train anew.",
    ),
    "inconclusive": (
        "Give what the step without an answer asks for, then run the review again.",
        "Do not take this for a clean model: no verdict is not a good one.",
    ),
}


def render(path: Path) -> Path:
    """Write `report.html` into the folder of a review; an unfinished one says so.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    run = records.read_top(Path(path), "review.json", records.Review, "review")
    headline, level = HEADLINES.get(run.conclusion or "", ("The review is not finished.", "open"))
    values = {
        "run": run,
        "headline": headline,
        "level": level,
        "steps": STEPS.get(run.conclusion or "", ("Run the same command again.",)),
        "moves": [],
        "chance": "",
        "cost": "",
    }
    if run.risk:
        low, high = run.risk.backdoor
        values |= {
            "moves": sorted(run.risk.moves.items(), key=lambda item: -item[1])[:4],
            "chance": f"{percent(low)} to {percent(high)}",
            "cost": f"{number(run.risk.low)} to {number(run.risk.high)}",
        }
    return write_page(Path(path) / FILE, TEMPLATES, values, styles=["review.css"])
