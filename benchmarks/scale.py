"""Audit very many inputs with the real command: memory, speed, and what a kill costs.

    python benchmarks/scale.py --inputs 1000 100000
    python benchmarks/scale.py --million --network tiny --detector energy

Writes synthetic 32x32 color inputs to a temporary folder (real digits, enlarged, or with --data
CIFAR-10 images, each moved and with noise, from a seed), trains a small network briefly,
and audits them with `anomech audit` in a process of its own. Then it kills an audit in the middle,
resumes it, and compares with an undisturbed one. Everything written is deleted at the end.

The peak is the largest resident memory of the audit's process (VmHWM), Python and torch included.
"""

import argparse
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

MILLION = 1_000_000
TRUSTED, TRAINING = 2000, 6000
BLOCK = 10_000
CHUNK = 1024
KILLED = 16
"""Chunks of the audit that is killed."""

FACTORY = '''"""The network of the benchmark; it notes how many images it answers."""

import os

from torch import nn

from anomech import architectures as networks
from anomech.architectures.digits import DigitsNet

NETWORK, PASSES = {network!r}, os.environ.get("SCALE_PASSES")


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        if NETWORK == "tiny":
            self.inner = nn.Sequential(nn.AvgPool2d(4), DigitsNet(channels=3))
        else:
            self.inner = networks.get(NETWORK)(classes=10, channels=3)

    def forward(self, x):
        if PASSES:
            with open(PASSES, "a") as file:
                file.write(f"{{len(x)}}\\n")
        return self.inner(x)


def make_model():
    return Counted()
'''


@dataclass(frozen=True)
class Measured:
    """One audit: seconds, peak resident memory in MiB, images that the network answered."""

    seconds: float
    peak: float
    passes: int


def base(data: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[n, 32, 32, 3]` that inputs are made of, and labels."""
    if data is not None:
        from anomech.data.archive import read_archive

        return read_archive(data / "vision/cifar10_test8k.npz")
    from anomech.data.digits import load_digits

    images, labels = load_digits()
    return images.repeat(4, axis=1).repeat(4, axis=2).repeat(3, axis=3), labels


def varied(
    source: tuple[np.ndarray, np.ndarray], count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """`count` images of the source, moved by up to two pixels and with noise, and their labels."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(source[0]), count)
    images = source[0][chosen]
    move = rng.integers(-2, 3, (count, 2))
    rows = (np.arange(32) + move[:, :1]) % 32
    columns = (np.arange(32) + move[:, 1:]) % 32
    images = images[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    noise = rng.integers(-12, 13, images.shape, dtype=np.int16)
    return np.clip(images + noise, 0, 255).astype(np.uint8), source[1][chosen]


def write_inputs(path: Path, source: tuple[np.ndarray, np.ndarray], count: int) -> None:
    """An uncompressed .npz, block by block; the first inputs are the same for every count."""
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (count, 32, 32, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive,
        archive.open("images.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for start in range(0, count, BLOCK):
            images, _ = varied(source, BLOCK, 10 + start // BLOCK)
            member.write(images[: count - start].tobytes())


def prepare(folder: Path, data: Path | None, network: str, counts: list[int]) -> None:
    """Write the network, its weights, trusted images and inputs.

    It runs in a process of its own: torch in the benchmark's own process would count as memory of
    the processes it starts.
    """
    from safetensors.torch import save_file

    from anomech.artefacts.factory import build_model
    from anomech.learning.training import Recipe, train

    source = base(data)
    factory = folder / "network.py"
    factory.write_text(FACTORY.format(network=network))
    images, labels = varied(source, TRAINING, 1)
    recipe = Recipe(epochs=4, peak=0.05 if network == "tiny" else 0.1, augment="none")
    model = train(build_model(f"{factory}:make_model"), images, labels, recipe, seed=0)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    images, labels = varied(source, TRUSTED, 2)
    np.savez(folder / "trusted.npz", images=images, labels=labels)
    for count in counts:
        write_inputs(folder / f"inputs-{count}.npz", source, count)


def command(folder: Path, detector: str, count: int, out: Path) -> list[str]:
    """The audit of so many inputs, with one detector."""
    return [
        *(
            sys.executable,
            "-m",
            "anomech",
            "audit",
            "--model",
            f"{folder / 'network.py'}:make_model",
        ),
        *("--weights", str(folder / "weights.safetensors")),
        *("--reference", str(folder / "trusted.npz")),
        *("--inputs", str(folder / f"inputs-{count}.npz"), "--out", str(out)),
        *("--set", f"lead={detector}", "--set", f"detectors={{{detector}: {{}}}}"),
        *("--set", f"chunk={CHUNK}"),
    ]


def watched(words: list[str], folder: Path, stop_at: Path | None = None) -> Measured:
    """Run a command, or kill it once a file is there, and watch its memory."""
    passes = folder / "passes"
    passes.unlink(missing_ok=True)
    known = {"OMP_NUM_THREADS": "1", **os.environ, "SCALE_PASSES": str(passes)}
    clock, peak = time.perf_counter(), 0.0
    process = subprocess.Popen(words, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        if stop_at is not None and stop_at.exists():
            process.send_signal(signal.SIGKILL)
        time.sleep(0.02)
    seconds = time.perf_counter() - clock
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(process.communicate()[1].decode())
    process.communicate()
    return Measured(seconds, peak, sum(map(int, passes.read_text().split())))


def _peak(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:  # it has just ended
        return 0.0
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else 0.0


def killed(folder: Path, detector: str, few: tuple[int, Measured]) -> str:
    """Kill an audit in the middle, resume it, and compare it with an undisturbed one."""
    count = KILLED * CHUNK
    whole = watched(command(folder, detector, count, folder / "whole"), folder)
    words = command(folder, detector, count, folder / "killed")
    work = folder / "killed" / "work"
    first = watched(words, folder, stop_at=work / f"{KILLED // 2:05d}.json")
    finished = len(list(work.glob("[0-9]*.json")))
    second = watched(words, folder)
    each = (whole.passes - few[1].passes) / (count - few[0])
    fit = whole.passes - each * count
    lost = (first.passes + second.passes - whole.passes - fit) / (each * CHUNK)
    same = (folder / "whole/verdicts.jsonl").read_bytes() == (
        folder / "killed/verdicts.jsonl"
    ).read_bytes()
    return (
        f"killed with {finished} of {KILLED} chunks finished; {lost:.2f} chunks were computed "
        f"again; verdicts {'are identical' if same else 'DIFFER'}."
    )


def main() -> None:
    """Parse, prepare, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", nargs="*", type=int, default=[1000, 100_000])
    parser.add_argument("--million", action="store_true", help="also a million inputs (3 GB)")
    parser.add_argument("--data", type=Path, help="an ANOMECH_DATA folder; digits without it")
    parser.add_argument("--network", default="resnet14", help="tiny, resnet14 or resnet20")
    parser.add_argument("--detector", default="functional_attribution")
    parser.add_argument("--no-kill", action="store_true", help="leave the kill test out")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    counts = sorted({*given.inputs, *([MILLION] if given.million else [])})
    every = counts if given.no_kill else [*counts, KILLED * CHUNK]
    if given.prepare:
        prepare(given.prepare, given.data, given.network, every)
        return
    console = Console()
    with tempfile.TemporaryDirectory(prefix="scale-") as name:
        folder = Path(name)
        words = [sys.executable, __file__, *sys.argv[1:], "--prepare", name]
        subprocess.run(words, check=True, env={"OMP_NUM_THREADS": "1", **os.environ})
        table = Table("inputs", "seconds", "inputs/second", "peak MiB", "of the first", "flagged")
        results: list[tuple[int, Measured]] = []
        for count in counts:
            out = folder / f"run-{count}"
            found = watched(command(folder, given.detector, count, out), folder)
            results.append((count, found))
            run = json.loads((out / "run.json").read_text())
            table.add_row(
                f"{count:,}",
                f"{found.seconds:.1f}",
                f"{count / found.seconds:,.0f}",
                f"{found.peak:.0f}",
                f"{found.peak / results[0][1].peak:.3f}",
                f"{run['detectors'][0]['flagged']:,}",
            )
            console.log(f"{count:,} inputs: {found}")
        console.print(f"{given.network}, {given.detector}, 1 thread, chunks of {CHUNK}")
        console.print(table)
        if not given.no_kill:
            console.print(killed(folder, given.detector, results[0]))


if __name__ == "__main__":
    main()
