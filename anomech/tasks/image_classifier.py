"""Image classifier: inputs are images, answers are class indices.

Source: none. Images are class folders, folders, arrays or lists; see `anomech.data.reading`.
The task itself, for use from Python, is `ImageClassifier`; the options here are what a plan says.
"""

from anomech.data.images import ImageExamples
from anomech.data.reading import Reading, read_images
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import About, Progress
from anomech.roles.source import Opened
from anomech.roles.task_options import Role
from anomech.tasks._arithmetic import Precision
from anomech.tasks._devices import available
from anomech.tasks._images import ImageClassifier
from anomech.tasks._outputs import Outputs

__all__ = ["ImageClassifier", "ImageClassifierOptions"]


@options
class ImageClassifierOptions:
    """How images reach the model, and which of its parameters move."""

    mean: tuple[float, ...] = option((0.0,), "subtracted from images in [0, 1], per channel")
    std: tuple[float, ...] = option((1.0,), "divided by afterwards, per channel")
    watch: str = option("all", "parameters that move: all, last or a glob of names")
    device: str = option("", "such as cpu or cuda; empty means cpu")
    precision: Precision = option(
        "float32", "of the network's arithmetic; its last layer and all scores stay in float32"
    )
    memory: int = option(
        1024, "activations of one pass may take so much; passes are as large", unit="MiB", ge=1
    )

    outputs: Outputs = option(
        "auto", "what the model gives; auto tells logits from probabilities by trusted examples"
    )
    pass_timeout: float = option(
        0.0, "what one forward pass may take; 0 is no limit", unit="seconds", ge=0
    )
    reading: Reading = option(Reading(), "how files become images")

    @property
    def kind(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.kind`."""
        return ImageClassifier.kind

    @property
    def advice(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.advice`."""
        return "Check the order of the classes and the normalization (task.mean, task.std)."

    @property
    def placing(self) -> frozenset[str]:
        """See `anomech.roles.task_options.TaskOptions.placing`."""
        return frozenset({"device", "memory", "pass_timeout"})

    def check(self) -> None:
        """See `anomech.roles.task_options.TaskOptions.check`."""
        available(self.device)

    def read(
        self,
        path: str,
        role: Role,
        *,
        like: About | None = None,
        progress: Progress,
        workers: int = 0,
    ) -> ImageExamples:
        """See `anomech.roles.task_options.TaskOptions.read`; inputs are as `like` in size."""
        wanted = _shape(like or {})
        channels = None if wanted is None else wanted[2]
        found = read_images(
            path, channels=channels, reading=self.reading, progress=progress, workers=workers
        )
        if role == "trusted" and found.labels is None:
            raise DataError(
                f"{path} has no labels, which trusted and training examples need; give a folder "
                "with one sub-folder per class, or an .npz with 'labels'."
            )
        if wanted is not None and wanted != found.shape:
            raise DataError(
                f"trusted images are {_size(wanted)} and inputs {_size(found.shape)}; bring them "
                "to one size and color mode."
            )
        return found

    def wrap(self, opened: Opened, trusted: About) -> ImageClassifier:
        """See `anomech.roles.task_options.TaskOptions.wrap`."""
        if hasattr(opened.model, "ask"):
            raise ModelError(
                "this source opens no network: its model can only be asked; use --set "
                "task.use=black_box."
            )
        return ImageClassifier(
            opened.model,
            self.mean,
            self.std,
            watch=self.watch,
            device=available(self.device),
            class_names=trusted.get("classes", ()),
            precision=self.precision,
            memory=self.memory * 2**20,
            outputs=self.outputs,
            pass_timeout=self.pass_timeout,
        )


def _shape(about: About) -> tuple[int, int, int] | None:
    """Height, width and channels of trusted images, if they are known."""
    try:
        height, width, channels = map(int, about["shape"])
    except (KeyError, ValueError):
        return None
    return height, width, channels


def _size(shape: tuple[int, int, int]) -> str:
    height, width, channels = shape
    return f"{height}x{width} with {channels} channel{'s' if channels > 1 else ''}"
