"""Image classifiers of the transformers library as plain networks, with what their processor says.

The processor itself is not run: its configuration is read, and images go through this project's own
resizing, which is bilinear.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from anomech.artefacts.hugging_face_folders import read_json
from anomech.kernel.errors import ModelError

PROCESSOR = "preprocessor_config.json"
BILINEAR = 2
"""How the processors' files number that kind of resizing."""


class Logits(nn.Module):
    """A classifier that gives its logits alone.

    Args:
        network: such as `AutoModelForImageClassification` gives.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[batch, classes]` of normalized images `[batch, c, h, w]`."""
        return self.network(pixel_values=images).logits


class Processing(NamedTuple):
    """How images reach a model.

    Attributes:
        mean: subtracted from images in [0, 1], per channel.
        std: divided by afterwards.
        resize: shorter side in pixels; 0 leaves images as they are.
        crop: side of the square that is cut from the center; 0 leaves them.
        notes: sentences on what is done otherwise here.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    resize: int
    crop: int
    notes: tuple[str, ...]


def processing_of(folder: Path) -> Processing:
    """What a folder's processor does with images; nothing if there is none.

    Raises:
        ModelError: it cannot be read, or does what this project does not.
    """
    if not (folder / PROCESSOR).is_file():
        note = f"{folder.name} has no {PROCESSOR}, so images reach the model as they are in [0, 1]."
        return Processing((0.0,), (1.0,), 0, 0, (note,))
    given = read_json(folder / PROCESSOR)
    try:
        return _processing(given)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder.name}/{PROCESSOR} cannot be read ({type(error).__name__}: {error}); set "
            "task.mean, task.std and task.reading in a plan with a function of your own as model."
        ) from None


def _processing(given: Mapping[str, Any]) -> Processing:
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    notes: list[str] = []
    if given.get("do_normalize", True) and given.get("image_mean") is not None:
        mean = tuple(float(each) for each in given["image_mean"])
        std = tuple(float(each) for each in given["image_std"])
    if given.get("do_rescale", True):
        scale = 255 * float(given.get("rescale_factor", 1 / 255))
        mean, std = tuple(each / scale for each in mean), tuple(each / scale for each in std)
    else:
        mean, std = tuple(each / 255 for each in mean), tuple(each / 255 for each in std)
    resize = crop = 0
    if given.get("do_resize", True) and given.get("size") is not None:
        resize, square = _side(given["size"])
        if square:
            crop = resize
            notes.append(
                "The processor squeezes images to a square; here the shorter side is scaled and "
                "the center cut out, which differs for images that are not square."
            )
        if given.get("resample", BILINEAR) != BILINEAR:
            notes.append("The processor's resizing is not bilinear; here it is.")
    if given.get("do_center_crop", False) and given.get("crop_size") is not None:
        crop, _ = _side(given["crop_size"])
    return Processing(mean, std, resize, crop, tuple(notes))


def _side(given: Any) -> tuple[int, bool]:
    """Pixels of the shorter side, and whether the size is that of a square."""
    if isinstance(given, int):
        return given, False
    if "shortest_edge" in given:
        return int(given["shortest_edge"]), False
    height, width = int(given["height"]), int(given["width"])
    if height != width:
        raise ValueError(f"it wants images of {height}x{width}, which are no squares")
    return height, True
