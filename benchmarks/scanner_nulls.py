"""Make the table of null distributions that comes with the package, of a bench of whole models.

    python benchmarks/scanner_nulls.py runs/bench-scan-small --of "small networks on digits"

It takes the largest statistic of every clean development network, by scanner with its options and
family of the architecture, and lays them into `anomech/calibration/nulls.json`; entries of other
scanners, options and families stay.
"""

import argparse
import json
from pathlib import Path

import anomech.calibration
from anomech.audit.plan import read_plan
from anomech.bench.models.suite import from_mapping
from anomech.bench.worlds.images import datasets
from anomech.calibration.nulls import FEWEST, options_key
from anomech.learning.families import family
from anomech.records import read_record
from anomech.records.modelcards import CLEAN, ModelBench, ModelCard
from anomech.tasks.image_classifier import ImageClassifier

TABLE = Path(anomech.calibration.__file__).parent / "nulls.json"


def main() -> None:
    """Read the bench's folder and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench", type=Path, help="folder of a bench of whole models")
    parser.add_argument("--of", required=True, help="what its networks are, for people")
    asked = parser.parse_args()
    bench = read_record(asked.bench / "models.json", ModelBench)
    suite = from_mapping(read_plan(asked.bench / "suite.yaml"))
    images, _ = datasets.load(suite.data, datasets.data_folder()).test
    height, width, channels = images.shape[1:]
    network = suite.network.build(classes=2, channels=channels)
    kind = family(ImageClassifier(network), (channels, height, width))
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    clean = [
        each.name
        for each in bench.networks
        if each.kind == CLEAN and each.role == "development" and each.status == "done"
    ]
    for name, options in suite.scanners.items():
        paths = [asked.bench / "networks" / each / f"{name}.json" for each in clean]
        cards = [read_record(path, ModelCard) for path in paths if path.exists()]
        values = sorted(round(card.largest, 4) for card in cards if card.status == "done")
        if len(values) >= FEWEST:
            entry = table.setdefault(f"{name} {options_key(options)}", {})
            entry[kind] = {"values": values, "of": asked.of}
            print(f"{name}: {len(values)} networks, {kind}")
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
