"""What screens find in training sets with known poison when nobody trusts any example.

    python benchmarks/screens_alone.py screening-cifar --zoo runs/zoo

The suites give every screen trusted images. Here the same training sets and networks are screened
without any: AUROC and F1 of every screen that can do without, or the share of a clean set that it
suspects, one line a set and screen.
"""

import argparse
from pathlib import Path

from sklearn.metrics import f1_score, roc_auc_score

from anomech.bench.screens.judging import Scene, scene
from anomech.bench.screens.suite import from_mapping
from anomech.bench.suite_files import read_suite
from anomech.bench.worlds.images import datasets
from anomech.kernel import plugins
from anomech.kernel.types import silent

SCREENS = ("two_identities", "scan", "spectral_signatures", "activation_clustering")


def main() -> None:
    """Go through the training sets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--case", action="append", default=[], help="of the suite; all by default")
    asked = parser.parse_args()
    suite = from_mapping(read_suite(asked.suite))
    sets = datasets.load(suite.data, datasets.data_folder()).first(suite.train)
    print("| set | poison | " + " | ".join(SCREENS) + " |")
    print("| --- " * (len(SCREENS) + 2) + "|")
    for case in asked.case or suite.cases:
        here = scene(suite, case, sets, asked.zoo, silent)
        told = " | ".join(screened(here, name) for name in SCREENS)
        print(
            f"| {case} | {int(here.poisoned.sum())} of {len(here.poisoned)} | {told} |", flush=True
        )


def screened(here: Scene, name: str) -> str:
    """AUROC and F1 of a screen, or the share of a clean set that it suspects."""
    screen = plugins.make("screen", {"use": name}, name)
    found = screen.screen(here.observed, here.labels, None, seed=here.suite.seed, progress=silent)
    suspects = None if found.suspects is None else found.suspects.numpy()
    if not here.poisoned.any():
        return "-" if suspects is None else f"({suspects.mean():.1%})"
    auroc = roc_auc_score(here.poisoned, found.suspicion.numpy())
    score = "-" if suspects is None else f"{f1_score(here.poisoned, suspects, zero_division=0):.2f}"
    return f"{auroc:.3f} / {score}"


if __name__ == "__main__":
    main()
