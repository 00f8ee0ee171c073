"""Federations whose true groups are known, made of the images at hand.

Every client gets images that no other has, dealt out by class, so that all that tells groups apart
is what a world does to them: a rotation, the labels, a color that goes with the label.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from anomech.federated.clients import Client, Federation, Malice, Part
from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.attack import DataAttack
from anomech.roles.dataset import Dataset

Kind = Literal["rotations", "labels", "colors", "none"]

COLORS = 3
"""Groups of the colored world: green, green by label, purple."""


@options
class Poison:
    """Clients that plant a trigger."""

    clients: int = option(0, "malicious clients, dealt out over the groups", ge=0)
    attack: DataAttack = plugins.chosen("attack", "badnets", "what they plant")
    boost: float = option(
        1.0, "factor of their updates; the number of clients replaces the model", ge=1
    )
    since: int = option(0, "round from which on; they are honest before", ge=0)


@options
class World:
    """Clients and their groups."""

    data: str = option("mnist", "data set that images are taken of")
    kind: Kind = option("rotations", "what tells the groups apart")
    angles: tuple[float, ...] = option((0, 90, 180, 270), "of the groups", unit="degrees")
    labels: tuple[tuple[int, ...], ...] = option(
        ((0, 1, 2, 3, 4), (5, 6, 7, 8, 9)), "classes of each group"
    )
    clients: int = option(20, "clients, dealt out over the groups", ge=2)
    images: int = option(0, "training images a client; 0 shares out all", unit="images", ge=0)
    test: int = option(0, "test images a client; 0 shares out all", unit="images", ge=0)
    validation: float = option(0.2, "share of its images that only measure distances", gt=0, le=0.5)
    poison: Poison = option(Poison(), "malicious clients")


def make_world(world: World, folder: Path | None, seed: int) -> Federation:
    """The federation of a world.

    Args:
        world: what is made.
        folder: of data that does not come with the package; None if there is none.
        seed: of who gets what.

    Raises:
        ConfigError: no such data set, or nothing to train on.
        DataError: too few images for so many clients.
    """
    made: Dataset = plugins.get("dataset", world.data)()
    parts = made.parts(folder)
    if parts.train is None:
        raise ConfigError(f"'{world.data}' has no images to train on; choose another data set.")
    count = _groups(world)
    groups = [client % count for client in range(world.clients)]
    train, test = parts.train(), parts.test()
    dealt = _dealt(world, train, world.images, groups, seed, "train")
    tested = _dealt(world, test, world.test, groups, seed, "test")
    clients = []
    for number, (places, others) in enumerate(zip(dealt, tested, strict=True)):
        own = _seen(world, (train[0][places], train[1][places]), groups[number], seed, number)
        judged = _seen(world, (test[0][others], test[1][others]), groups[number], seed, number)
        cut = round(len(places) * (1 - world.validation))
        first, second = (own[0][:cut], own[1][:cut]), (own[0][cut:], own[1][cut:])
        if not len(first[1]) or not len(second[1]) or not len(judged[1]):
            raise DataError(
                f"there are too few images of '{world.data}' for {world.clients} clients; lower "
                "world.clients."
            )
        malice = _malice(world.poison, number, first, seed)
        clients.append(Client(f"client-{number:02d}", first, second, judged, malice))
    channels = clients[0].train[0].shape[-1]
    return Federation(tuple(clients), parts.classes, channels, tuple(groups))


def _groups(world: World) -> int:
    many = {"rotations": len(world.angles), "labels": len(world.labels), "colors": COLORS}
    return many.get(world.kind, 1)


def _malice(poison: Poison, number: int, train: Part, seed: int) -> Malice | None:
    """What a client plants; the first clients are the malicious ones."""
    if number >= poison.clients:
        return None
    planted = poison.attack.poison(*train, seed=seed + number)
    return Malice((planted.inputs, planted.labels), poison.boost, poison.since)


def _dealt(
    world: World, part: Part, most: int, groups: list[int], seed: int, purpose: str
) -> list[np.ndarray]:
    """Places of each client's images: shuffled, every class dealt out to those that may have it."""
    places: list[list[int]] = [[] for _ in groups]
    for label in np.unique(part[1]):
        takers = [
            number
            for number, group in enumerate(groups)
            if world.kind != "labels" or int(label) in world.labels[group]
        ]
        rng = numpy_generator(seed, "federation", purpose, int(label))
        for turn, place in enumerate(rng.permutation(np.flatnonzero(part[1] == label))):
            if takers:
                places[takers[(turn + int(label)) % len(takers)]].append(int(place))
    mixed = [
        numpy_generator(seed, "federation", purpose, "order", number).permutation(own)
        for number, own in enumerate(places)
    ]
    return [own[:most].astype(int) if most else own.astype(int) for own in mixed]


def _seen(world: World, part: Part, group: int, seed: int, number: int) -> Part:
    """A client's images as its group sees them."""
    images, labels = part
    changes: Mapping[str, Callable[[], np.ndarray]] = {
        "rotations": lambda: rotated(images, world.angles[group]),
        "colors": lambda: colored(images, labels, group),
    }
    change = changes.get(world.kind)
    return (images if change is None else change()), labels


def rotated(images: np.ndarray, angle: float) -> np.ndarray:
    """Images uint8 `[n, h, w, c]` turned against the clock; quarter turns move pixels alone."""
    if angle % 90 == 0:
        return np.ascontiguousarray(np.rot90(images, round(angle / 90), (1, 2)))
    out = np.empty_like(images)
    for place, image in enumerate(images):
        gray = image.shape[-1] == 1
        picture = Image.fromarray(image[..., 0] if gray else image)
        turned = picture.rotate(angle, Image.Resampling.BILINEAR)
        out[place] = np.asarray(turned).reshape(image.shape)
    return out


def colored(images: np.ndarray, labels: np.ndarray, group: int) -> np.ndarray:
    """Gray images in color, uint8 `[n, h, w, 3]`.

    Group 0 is green, all alike; in group 1 the shade of green tells the label, which a network
    can read instead of the digit; group 2 is purple.

    Raises:
        DataError: images that have a color of their own.
    """
    if images.shape[-1] != 1:
        raise DataError("the world 'colors' paints gray images; choose data: mnist.")
    shades = np.zeros((len(images), 1, 1, 3))
    if group == 2:
        shades[..., 0], shades[..., 2] = 0.6, 0.8
    else:
        shades[:, 0, 0, 1] = 1.0 if group == 0 else 0.35 + 0.65 * labels / 9
    return np.rint(images * shades).astype(np.uint8)
