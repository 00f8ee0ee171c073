"""Black box: inputs are images, and the model is asked by a program or at an address.

Source: none. Images are class folders, folders, arrays or lists; see `anomech.data.reading`. What
the model may answer stands in docs/black-box.md.
"""

from anomech.data.images import ImageExamples
from anomech.data.reading import Reading
from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError
from anomech.kernel.types import About, Progress
from anomech.roles.source import Opened
from anomech.roles.task_options import Role
from anomech.tasks._black_box import BlackBox
from anomech.tasks.image_classifier import ImageClassifierOptions

__all__ = ["BlackBox", "BlackBoxOptions"]


@options
class BlackBoxOptions:
    """How images reach a model that only answers."""

    batch: int = option(64, "images in one question", unit="images", ge=1)
    reading: Reading = option(Reading(), "how files become images")

    @property
    def kind(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.kind`."""
        return BlackBox.kind

    @property
    def advice(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.advice`."""
        return "Check the order of the classes, and how the program prepares pixels."

    @property
    def placing(self) -> frozenset[str]:
        """See `anomech.roles.task_options.TaskOptions.placing`."""
        return frozenset({"batch"})

    def check(self) -> None:
        """See `anomech.roles.task_options.TaskOptions.check`; nothing can be wrong."""

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
        as_images = ImageClassifierOptions(reading=self.reading)
        return as_images.read(path, role, like=like, progress=progress, workers=workers)

    def wrap(self, opened: Opened, trusted: About) -> BlackBox:
        """See `anomech.roles.task_options.TaskOptions.wrap`."""
        if not hasattr(opened.model, "ask"):
            raise ModelError(
                "the task black_box asks a program or an address, and this source opens a network; "
                "give --model 'command:...' or http://127.0.0.1:PORT/PATH, or another task."
            )
        return BlackBox(opened.model, trusted.get("classes", ()), self.batch)
