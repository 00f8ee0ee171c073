"""Text classifier: inputs are texts, answers are classes.

Source: none. Inputs are lines of JSON, tables or saved data sets; see `anomech.data.texts`. The
task itself, for use from Python, is `TextClassifier`; the options here are what a plan says.
"""

from anomech.artefacts.hugging_face import WithTokenizer
from anomech.data.texts import TextColumns, Texts, read_texts
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import About, Progress
from anomech.roles.source import Opened
from anomech.roles.task_options import Role
from anomech.tasks._devices import available
from anomech.tasks._texts import TextClassifier

__all__ = ["TextClassifier", "TextClassifierOptions"]


@options
class TextClassifierOptions:
    """How texts reach the model, and which of its parameters move."""

    watch: str = option(
        "linear", "parameters that move: linear (every matrix), all, last or a glob of names"
    )
    device: str = option("", "such as cpu or cuda; empty means where the model is")
    memory: int = option(
        1024, "activations of one pass may take so much; passes are as large", unit="MiB", ge=1
    )
    columns: TextColumns = option(TextColumns(), "names of columns in tables and lines of JSON")

    @property
    def kind(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.kind`."""
        return TextClassifier.kind

    @property
    def advice(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.advice`."""
        return "Check the order of the classes, or give their names as the model has them."

    @property
    def placing(self) -> frozenset[str]:
        """See `anomech.roles.task_options.TaskOptions.placing`."""
        return frozenset({"device", "memory"})

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
    ) -> Texts:
        """See `anomech.roles.task_options.TaskOptions.read`."""
        found = read_texts(path, self.columns)
        if role == "trusted" and found.labels is None:
            raise DataError(
                f"{path} has no labels, which trusted and training examples need; give every row "
                f"its class in the column '{self.columns.label}', or name the column with "
                "--set task.columns.label=NAME."
            )
        return found

    def wrap(self, opened: Opened, trusted: About) -> TextClassifier:
        """See `anomech.roles.task_options.TaskOptions.wrap`.

        Raises:
            ModelError: there is no tokenizer beside the model.
        """
        if not isinstance(opened.model, WithTokenizer):
            raise ModelError(
                "a text classifier needs its tokenizer; give its Hugging Face folder with "
                "--model FOLDER."
            )
        return TextClassifier(
            opened.model.network,
            opened.model.tokenizer,
            opened.model.names,
            watch=self.watch,
            device=self.device and available(self.device),
            memory=self.memory * 2**20,
        )
