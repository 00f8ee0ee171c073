"""The published sampler itself: devinterp 1.3.2, run in an environment of its own.

    python published_chain.py request.npz answer.npz

`published_environment.py` makes the environment and calls this file; nothing of anomech is imported
here, so that time and memory are those of the published method. What is measured and how:

- the chain is `devinterp.slt.sampler.sample` with `SGMCMC.rmsprop_sgld`, one chain, no burn-in of
  its own, in full precision, on minibatches with true labels;
- at every draw a callback evaluates all examples in evaluation mode: the unreduced cross-entropy
  against the model's own labels at the trained point. First comes the draw after the first update;
- images lie in memory as bytes and are prepared batch by batch, which is faster than the image
  files of the published script.

The request holds `settings` (JSON), `weight/NAME`, `sampling_images`, `sampling_labels`,
`evaluated_images` and `own_labels`. With `noise/STEP/NAME` and `batch/STEP` the chain takes these
instead of random ones; with the setting `record` the answer holds every state.
"""

import importlib.util
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from devinterp.optim.sgmcmc import SGMCMC
from devinterp.slt.sampler import sample
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

EVALUATED = 256
"""Examples evaluated at once."""


def main(request_path: str, answer_path: str) -> None:
    """Run the chain that the request describes."""
    with np.load(request_path) as archive:
        request = dict(archive)
    settings = json.loads(str(request.pop("settings")))
    torch.set_num_threads(settings["threads"])
    model = _model(settings, request)
    clock = time.perf_counter()
    answer = run(model, settings, request)
    answer["seconds"] = np.array(time.perf_counter() - clock)
    answer["peak_kib"] = np.array(_peak_kib())
    np.savez(answer_path, **answer)


def run(model: nn.Module, settings: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """Losses `[draws, examples]` and, if asked for, every state."""
    images, labels = request["evaluated_images"], torch.from_numpy(request["own_labels"])
    losses = np.zeros((settings["draws"], len(labels)), np.float32)
    answer: dict[str, Any] = {"losses": losses}

    def visit(**local: Any) -> None:
        draw, network = local["draw"], local["model"]
        network.eval()
        for start in range(0, len(labels), EVALUATED):
            part = slice(start, start + EVALUATED)
            logits = network(as_float(images[part], settings))
            losses[draw, part] = functional.cross_entropy(logits, labels[part], reduction="none")
        if settings["record"]:
            _record(answer, draw, network, local["optimizer"])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample(
            model,
            _loader(settings, request),
            [visit],
            evaluate=lambda network, data: functional.cross_entropy(network(data[0]), data[1]),
            sampling_method=_method(model, request),
            optimizer_kwargs={
                "lr": settings["step_size"],
                "localization": settings["localization"],
                "nbeta": settings["nbeta"],
            },
            num_draws=settings["draws"],
            num_chains=1,
            init_loss=1.0,  # only the learning coefficient, which nobody asks for, would need it
            seed=settings["seed"],
            verbose=False,
        )
    return answer


def as_float(images: np.ndarray, settings: dict[str, Any]) -> Tensor:
    """uint8 `[n, h, w, c]` to normalized float `[n, c, h, w]`."""
    values = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(settings[name]).view(1, -1, 1, 1) for name in ("mean", "std"))
    return (values - mean) / std


def _model(settings: dict[str, Any], request: dict[str, Any]) -> nn.Module:
    """The network, from a file that imports nothing but torch, with the given weights."""
    spec = importlib.util.spec_from_file_location("network", settings["network_file"])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = getattr(module, settings["network"])(**settings["network_options"])
    weights = {
        name.removeprefix("weight/"): torch.from_numpy(value)
        for name, value in request.items()
        if name.startswith("weight/")
    }
    model.load_state_dict(weights)
    return model


def _loader(settings: dict[str, Any], request: dict[str, Any]) -> DataLoader:
    images = as_float(request["sampling_images"], settings)
    data = TensorDataset(images, torch.from_numpy(request["sampling_labels"]))
    if "batch/0" not in request:
        return DataLoader(data, batch_size=settings["batch"], shuffle=True)
    given = [request[f"batch/{step}"].tolist() for step in range(settings["draws"])]
    return _Loader(data, batch_sampler=given)


class _Loader(DataLoader):
    """The default of nbeta, which is not used, is computed from a batch size all the same."""

    @property
    def batch_size(self) -> int:  # type: ignore[override]
        return 2

    @batch_size.setter
    def batch_size(self, value: Any) -> None:
        pass


def _method(model: nn.Module, request: dict[str, Any]) -> Any:
    """The published optimizer; with recorded noise, `torch.normal` gives that in its stead."""
    if not any(name.startswith("noise/") for name in request):
        return SGMCMC.rmsprop_sgld
    names = [name for name, _ in model.named_parameters()]
    steps: Iterator[int] = iter(range(10**9))
    waiting: list[Tensor] = []

    def refill(optimizer: Any, *_: Any) -> None:
        step = next(steps)
        parameters = optimizer.param_groups[0]["params"]
        waiting[:] = [
            torch.from_numpy(request[f"noise/{step}/{name}"])
            for name, parameter in zip(names, parameters, strict=True)
            if parameter.grad is not None  # others are skipped and draw none
        ]

    def make(parameters: Any, **options: Any) -> Any:
        optimizer = SGMCMC.rmsprop_sgld(list(parameters), **options)
        optimizer.register_step_pre_hook(refill)
        return optimizer

    torch.normal = lambda **_: waiting.pop(0)  # type: ignore[assignment]
    return make


def _peak_kib() -> int:
    """Peak resident memory of this process; `ru_maxrss` would count its parent's at the fork."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def _record(answer: dict[str, Any], draw: int, network: nn.Module, optimizer: Any) -> None:
    for name, parameter in network.named_parameters():
        answer[f"parameter/{draw}/{name}"] = parameter.detach().numpy().copy()
        square = optimizer.state[parameter].get("square_avg", torch.zeros_like(parameter))
        answer[f"square/{draw}/{name}"] = square.detach().numpy().copy()
    for name, buffer in network.named_buffers():
        answer[f"buffer/{draw}/{name}"] = buffer.numpy().copy()


if __name__ == "__main__":
    main(*sys.argv[1:])
