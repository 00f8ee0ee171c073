"""Which detector finds which attack, from the records of benches that were run.

    python benchmarks/applicability.py runs/bench-detectors-small [runs/bench-vision-small ...]

Printed is one table a bench: a row a detector with the access that it takes, a column an attack.
"""

import sys
from pathlib import Path

from anomech.audit.access import access_of
from anomech.kernel import plugins
from anomech.records import read_record
from anomech.records.scorecards import BenchRun, Scorecard
from anomech.report.board.applicability import markdown


def main(folders: list[str]) -> int:
    """Print the tables."""
    if not folders:
        sys.exit("name the folder of a bench, such as runs/bench-detectors-small.")
    takes = {name: ", ".join(access_of(name)) for name in plugins.names("detector")}
    for folder in map(Path, folders):
        run = read_record(folder / "bench.json", BenchRun)
        cards = [read_record(path, Scorecard) for path in sorted(folder.glob("cells/**/card.json"))]
        print(f"## {run.title}\n\n{markdown(cards, takes)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
