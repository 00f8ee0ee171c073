"""What defenses in training leave of backdoors in digits, one network each.

    python benchmarks/training_defenses.py

Each trainer is given 809 digits, poisoned or clean, and nothing else; printed are the share of
clean test images answered rightly, the attack success, and the time over that of ordinary training.
"""

import time
import warnings

import torch
from rich.console import Console
from rich.table import Table

from anomech.bench.repairs.suite import ROOM, RepairSuite, from_mapping, subject_of
from anomech.bench.suite_files import read_suite
from anomech.bench.worlds.images.datasets import ImageSets, load
from anomech.bench.worlds.images.zoo import success_rate
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.learning.training import predict
from anomech.roles.attack import DataAttack

TRAINERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("standard", {}),
    ("screened", {}),
    ("screened", {"screen": "spectral_signatures"}),
    ("abl", {}),
    ("dbd", {}),
)
SETS = ("clean", "BadNets", "Blended", "WaNet")


def main() -> None:
    """Print one table."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    suite, sets = from_mapping(read_suite("repair-small", ROOM)), load("digits", None)
    table = Table(title="accuracy, attack success, left out, time over that of ordinary training")
    for column in ("trainer", *SETS):
        table.add_column(column)
    usual: dict[str, float] = {}
    for name, given in TRAINERS:
        row = [" ".join([name, *map(str, given.values())])]
        row += [_cell(suite, sets, each, name, given, usual) for each in SETS]
        table.add_row(*row)
    Console(width=160).print(table)


def _cell(
    suite: RepairSuite,
    sets: ImageSets,
    subject: str,
    name: str,
    given: dict[str, str],
    usual: dict[str, float],
) -> str:
    """One trainer on one training set."""
    spec = subject_of(suite, "BadNets" if subject == "clean" else subject, 0)
    attack = spec.attack_objects()[0]
    assert isinstance(attack, DataAttack)
    images, labels = sets.train
    if subject != "clean":
        poisoned = attack.poison(images, labels, seed=0)
        images, labels = poisoned.inputs, poisoned.labels
    network = suite.network.build(classes=sets.classes, channels=images.shape[-1])
    trainer = plugins.make("trainer", {"use": name, **given}, "trainer")
    clock = time.process_time()
    found = trainer.train(
        network, from_arrays(images, labels), None, recipe=spec.recipe, seed=0, progress=silent
    )
    taken = time.process_time() - clock
    usual.setdefault(subject, taken)
    network.load_state_dict(found.weights)
    right = float((predict(network.eval(), sets.test[0]) == sets.test[1]).mean())
    led, _ = success_rate(network, attack, *sets.test, sets.classes)
    out = (found.health.facts or {}).get("left out")
    words = [f"{right:.3f}", "" if subject == "clean" else f"{led:.3f}"]
    words += ["" if out is None else f"{out:.0%}", f"{taken / usual[subject]:.1f}"]
    return ", ".join(filter(None, words))


if __name__ == "__main__":
    main()
