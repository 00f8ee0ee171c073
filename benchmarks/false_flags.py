"""Which normal inputs a detector flags, from the folder of a finished bench.

    python benchmarks/false_flags.py runs/bench-vision-gtsrb

A network answers some inputs wrongly. Where something is planted in it, it may be the planted
mechanism that fires without its trigger; such flags count as false, and they hold thresholds high.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from anomech.bench.grading import TRUTH, grade
from anomech.records import Verdict, read_record, read_rows
from anomech.records.scorecards import Scorecard, TruthRow


def line(folder: Path) -> list[str]:
    """One row about a cell: how many normal inputs are flagged, how many of them wrong answers."""
    card = read_record(folder / "card.json", Scorecard)
    graded = grade(folder, card.detector)
    answer = {row.id: row.answer for row in read_rows(folder / "verdicts.jsonl", Verdict)}
    answers = np.array([answer[row.id] for row in read_rows(folder / TRUTH, TruthRow)])
    false = graded.normal & graded.flags(card.rates[0].budget)
    wrong = false & ~graded.right
    commonest = Counter(answers[false].tolist()).most_common(1)
    told = f"{commonest[0][1]} ({commonest[0][0]})" if commonest else "-"
    name = " · ".join(word for word in (card.subject, card.condition) if word)
    return [name, str(false.sum()), str(wrong.sum()), told]


def main() -> None:
    """Print a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", type=Path)
    parser.add_argument("--detector", default="functional_attribution")
    given = parser.parse_args()
    head = ["case", "normal inputs flagged", "answered wrongly", "commonest answer"]
    found = sorted(given.bench.glob(f"cells/*/{given.detector}/{TRUTH}"))
    for row in (head, ["---"] * len(head), *(line(path.parent) for path in found)):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
