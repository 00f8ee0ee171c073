"""Causal language model: inputs are prompts or conversations, answers are tokens.

Source: none. Inputs are lines of JSON, tables or saved data sets; see
`anomech.data.conversation_files`. The task itself, for use from Python, is `CausalLM`; the options
here are what a plan says.
"""

from anomech.artefacts.hugging_face import WithTokenizer
from anomech.data.conversation_files import Columns, read_conversations
from anomech.data.conversations import Conversations
from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError
from anomech.kernel.types import About, Progress
from anomech.roles.source import Opened
from anomech.roles.task_options import Role
from anomech.tasks._devices import available
from anomech.tasks._language import CausalLM, References
from anomech.tasks._language_network import Precision

__all__ = ["CausalLM", "CausalLmOptions"]


@options
class CausalLmOptions:
    """How prompts reach the model, how it answers, and which of its parameters move."""

    template: str = option(
        "auto",
        "how prompts are put: auto (the chat template if there is one), chat, plain, or a text "
        "with {prompt} in it",
    )
    tokens: int = option(20, "of an answer, at the most", unit="tokens", ge=1, le=4096)
    references: References = option(
        "auto",
        "exact: an answer must repeat its reference to be right; open: it need not; auto: as "
        "trusted examples tell",
    )
    recorded: bool = option(
        False,
        "answers of trusted rows are what the model has said, as those of inputs are, and no "
        "references",
    )
    watch: str = option(
        "linear",
        "parameters that move: linear (matrices of all blocks), attention, mlp, adapter, all, last "
        "or globs of names",
    )
    blocks: str = option("", "blocks whose parameters move, such as 0-5; empty is all")
    device: str = option("", "such as cpu or cuda; empty means where the model is")
    precision: Precision = option(
        "auto", "of the arithmetic; auto is float32 on a CPU, else as the model is stored"
    )
    memory: int = option(
        1024, "activations of one pass may take so much; passes are as large", unit="MiB", ge=1
    )
    columns: Columns = option(Columns(), "names of columns in tables and lines of JSON")

    @property
    def kind(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.kind`."""
        return CausalLM.kind

    @property
    def advice(self) -> str:
        """See `anomech.roles.task_options.TaskOptions.advice`."""
        return (
            "Check how prompts are put (task.template), and set task.references to open if there "
            "are other good answers than the references."
        )

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
    ) -> Conversations:
        """See `anomech.roles.task_options.TaskOptions.read`.

        Answers of trusted examples are references, which the model's own answers are held
        against, unless the option `recorded` says otherwise; those of inputs were recorded, and are
        what is judged.
        """
        recorded = self.recorded or role == "inputs"
        return read_conversations(path, self.columns, recorded=recorded)

    def wrap(self, opened: Opened, trusted: About) -> CausalLM:
        """See `anomech.roles.task_options.TaskOptions.wrap`.

        Raises:
            ModelError: there is no tokenizer beside the model.
        """
        if not isinstance(opened.model, WithTokenizer):
            raise ModelError(
                "a causal language model needs its tokenizer; give its Hugging Face folder with "
                "--model FOLDER."
            )
        return CausalLM(
            opened.model.network,
            opened.model.tokenizer,
            self.template,
            self.tokens,
            watch=self.watch,
            blocks=self.blocks,
            device=self.device and available(self.device),
            precision=self.precision,
            memory=self.memory * 2**20,
            references=self.references,
            base=opened.model.base,
        )
