"""Our side of `published.py`, in a process of its own: fit the default detector, judge the inputs.

python published_ours.py request.npz answer.npz
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from anomech import Auditor, ImageClassifier, from_arrays
from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.observing.observed import observe


def peak_kib() -> int:
    """Peak resident memory of this process; `ru_maxrss` would count its parent's at the fork."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main(request_path: str, answer_path: str) -> None:
    """Everything a user would do, from a loaded network on, is timed."""
    with np.load(request_path) as archive:
        request = dict(archive)
    settings = json.loads(str(request["settings"]))
    torch.set_num_threads(settings["threads"])
    architecture = plugins.get("architecture", settings["known_as"])()
    options = settings["network_options"]
    model = architecture.build(classes=options["classes"], channels=options["channels"])
    model.load_state_dict(
        {
            name.removeprefix("weight/"): torch.from_numpy(value)
            for name, value in request.items()
            if name.startswith("weight/")
        }
    )
    task = ImageClassifier(model.eval())
    auditor = Auditor(budget=settings["budget"], anchor_share=settings["anchor_share"])
    reference = from_arrays(request["reference_images"], request["reference_labels"])
    clock = time.perf_counter()
    fitted = auditor.fit(task, reference)
    fit = time.perf_counter() - clock
    inputs = from_arrays(request["inputs"])
    seen = observe(task, inputs, sources=fitted.calibrated.sources)
    judged = fitted.calibrated.judge(seen, silent)
    limit = fitted.calibrated.threshold
    np.savez(
        answer_path,
        scores=judged.scores.score.numpy(),
        limit=np.array(np.inf if limit is None else limit),
        evaluations=np.array(1 + fitted.calibrated.fitted.evaluations),
        fit_seconds=np.array(fit),
        seconds=np.array(time.perf_counter() - clock),
        peak_kib=np.array(peak_kib()),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
