"""Clients and their data, from a folder of the user."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomech.data.image_files import to_channels
from anomech.data.reading import read_images
from anomech.data.splits import stratified
from anomech.kernel.errors import DataError, shortened

Part = tuple[np.ndarray, np.ndarray]
"""Images uint8 `[n, h, w, c]` and labels int64 `[n]`."""

GROUPS = "groups.csv"
"""Beside the clients: true groups, columns `client` and `group`, for comparison alone."""

SHARES = (0.7, 0.15, 0.15)
"""Of a client's images to train on, to measure distances with and to test on."""

FEWEST = 10
"""Images of a client."""


@dataclass(frozen=True, eq=False)
class Malice:
    """What a malicious client does.

    Attributes:
        train: what it trains on.
        boost: factor of its update, by which it outvotes the others; 1 is none.
        since: round from which on; it is honest before.
    """

    train: Part
    boost: float
    since: int


@dataclass(frozen=True, eq=False)
class Client:
    """One client's data; only functions that run at the client look at it.

    Attributes:
        name: unique.
        train: to train on.
        validation: to measure distances with.
        test: to tell its accuracy by.
        malice: of a malicious one.
    """

    name: str
    train: Part
    validation: Part
    test: Part
    malice: Malice | None = None


@dataclass(frozen=True, eq=False)
class Federation:
    """Clients, and what is known about them for comparison.

    Attributes:
        clients: in order.
        classes: number of labels.
        channels: of the images.
        groups: the true group of each client, or None; no method sees it but an oracle.
        class_names: if there are any.
    """

    clients: tuple[Client, ...]
    classes: int
    channels: int
    groups: tuple[int, ...] | None = None
    class_names: tuple[str, ...] = ()

    @property
    def malicious(self) -> tuple[bool, ...]:
        """Which clients are."""
        return tuple(client.malice is not None for client in self.clients)


def read_clients(folder: Path, seed: int) -> Federation:
    """Clients of a folder: each entry is one, a folder with one folder a class or an `.npz`.

    Args:
        folder: with two entries at least, and perhaps `groups.csv`.
        seed: of the split of each client's images.

    Raises:
        DataError: fewer than two clients, or one without images, labels or a second class.
    """
    if not folder.is_dir():
        raise DataError(f"{shortened(folder)} is no folder; name one with an entry a client.")
    paths = sorted(
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.suffix == ".npz")
    )
    if len(paths) < 2:
        raise DataError(
            f"{shortened(folder.name)} holds {len(paths)} clients and two are needed; put a folder "
            "of class folders, or an .npz, for each client into it."
        )
    read = {path.stem: read_images(path) for path in paths}
    names = sorted({name for each in read.values() for name in each.class_names or ()})
    clients = []
    for name, examples in read.items():
        if not len(examples) or examples.labels is None:
            raise DataError(
                f"the client {shortened(name)} has no labeled images; give it some or take it out."
            )
        images, labels = examples.load(np.arange(len(examples))), np.array(examples.labels)
        if own := examples.class_names:
            labels = np.array([names.index(each) for each in own])[labels]
        clients.append(_client(name, images, labels, seed))
    clients = _alike(clients)
    classes = len(names) or 1 + max(int(each.train[1].max()) for each in clients)
    groups = _groups(folder / GROUPS, [each.name for each in clients])
    channels = clients[0].train[0].shape[-1]
    return Federation(tuple(clients), classes, channels, groups, tuple(names))


def _client(name: str, images: np.ndarray, labels: np.ndarray, seed: int) -> Client:
    if len(labels) < FEWEST:
        raise DataError(
            f"the client {shortened(name)} has {len(labels)} images and {FEWEST} are needed to "
            "train, measure and test; give it more or take it out."
        )
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"the client {shortened(name)} has images of one class only, from which nothing can be "
            "told apart; give it another class or take it out."
        )
    train, validation, test = (
        (images[places], labels[places])
        for places in stratified(labels, SHARES, seed, f"client/{name}")
    )
    return Client(name, train, validation, test)


def _alike(clients: Sequence[Client]) -> list[Client]:
    """Clients whose images all have the same channels.

    Raises:
        DataError: images of different sizes.
    """
    channels = max(each.train[0].shape[-1] for each in clients)
    sizes = {each.train[0].shape[1:3]: each.name for each in clients}
    if len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise DataError(
            f"images of the client {shortened(one)} are {first[1]} x {first[0]} and those of "
            f"{shortened(other)} {second[1]} x {second[0]}; scale them to one size."
        )

    def colored(part: Part) -> Part:
        return to_channels(part[0], channels), part[1]

    return [
        Client(each.name, colored(each.train), colored(each.validation), colored(each.test))
        for each in clients
    ]


def _groups(path: Path, names: Sequence[str]) -> tuple[int, ...] | None:
    """True groups by number, in the order of the clients; None if no file tells them."""
    if not path.is_file():
        return None
    try:
        with open(path, encoding="utf-8", newline="") as file:
            told: Mapping[str, str] = {row["client"]: row["group"] for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, csv.Error):
        raise DataError(
            f"{GROUPS} cannot be read; give it the columns client and group, or remove it."
        ) from None
    if missing := [name for name in names if name not in told]:
        raise DataError(
            f"{GROUPS} has no row for the client {shortened(missing[0])}; add it, or remove the "
            "file."
        )
    order = sorted({told[name] for name in names})
    return tuple(order.index(told[name]) for name in names)
