"""From files to conversations: which columns hold prompts, messages, answers and ids.

A row has a `prompt` (text) or `messages` (a list of `{role, content}`, in a table as JSON), and may
have an `answer` and an `id`. Messages may end with an answer of the assistant, which then is the
row's answer.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anomech.data.conversations import USER, Conversation, Conversations, Turn
from anomech.data.remarks import Counted
from anomech.data.text_ids import checked_names
from anomech.data.text_rows import read_rows
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, shown

ASSISTANT = "assistant"


@options
class Columns:
    """Names of columns."""

    prompt: str = option("prompt", "the text that is asked")
    messages: str = option("messages", "turns of a conversation, if there is no prompt")
    answer: str = option("answer", "the answer, if there is one")
    id: str = option("id", "a unique name, if there is one")


AS_USUAL = Columns()


def read_conversations(
    path: str | Path, columns: Columns = AS_USUAL, *, recorded: bool
) -> Conversations:
    """Conversations of a file.

    Args:
        path: lines of JSON, CSV, TSV, Parquet, or a data set that the Hugging Face datasets library
            saved.
        columns: their names.
        recorded: whether answers are what the model has said, which is to be judged; else they are
            references: what should be said.

    Raises:
        DataError: a row that cannot be read, or no row with a prompt.
    """
    path = Path(path)
    counted, items, ids, answers = (
        Counted(rows=True),
        list[Conversation](),
        list[str](),
        list[str | None](),
    )
    for place, row in read_rows(path):
        where = f"{place} of {path.name}"
        turns, answer = _asked(row, columns, where)
        if not any(turn.content.strip() for turn in turns):
            counted.add("without a prompt", where)
            continue
        if answer is not None and not answer.strip() and not recorded:
            counted.add("with an empty answer", where)
            continue
        items.append(Conversation(turns, answer if recorded else None))
        ids.append("" if row.get(columns.id) is None else str(row[columns.id]))
        answers.append(answer)
    if not items and any(row.get(columns.prompt) for _, row in read_rows(path)):
        raise DataError(
            f"{path.name} holds no row with a prompt and an answer that is not empty; give answers "
            f"in the column '{columns.answer}', or leave that column out."
        )
    if not items:
        raise DataError(
            f"{path.name} holds no prompt; give rows with a column '{columns.prompt}', or name it "
            "with --set task.columns.prompt=NAME."
        )
    references = None if recorded else _references(answers, path)
    return Conversations(tuple(items), checked_names(ids, path.name), references, counted.remarks())


def _asked(
    row: Mapping[str, Any], columns: Columns, where: str
) -> tuple[tuple[Turn, ...], str | None]:
    """Turns before the answer, and the answer if there is one."""
    answer = _text(row.get(columns.answer), columns.answer, where)
    if (prompt := _text(row.get(columns.prompt), columns.prompt, where)) is not None:
        return (Turn(USER, prompt),), answer
    if row.get(columns.messages) is None:
        if columns.prompt not in row and columns.messages not in row:
            raise DataError(
                f"{where} has no '{columns.prompt}' (it has {shown(', '.join(map(str, row)))}); "
                "name the column with --set task.columns.prompt=NAME."
            )
        return (), answer
    turns = _turns(row[columns.messages], columns.messages, where)
    if answer is None and turns and turns[-1].role == ASSISTANT:
        return turns[:-1], turns[-1].content
    return turns, answer


def _turns(given: Any, column: str, where: str) -> tuple[Turn, ...]:
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            given = None
    if not isinstance(given, list) or not all(isinstance(each, Mapping) for each in given):
        raise DataError(
            f"'{column}' in {where} is no list of messages; write "
            '[{"role": "user", "content": "..."}].'
        )
    turns = [(each.get("role"), each.get("content")) for each in given]
    for role, content in turns:
        if not isinstance(role, str) or not isinstance(content, str):
            raise DataError(
                f"a message in {where} has no text as its role or content; write "
                '{"role": "user", "content": "..."}.'
            )
    return tuple(Turn(str(role), str(content)) for role, content in turns)


def _text(given: Any, column: str, where: str) -> str | None:
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, bool | int | float):
        return str(given)
    raise DataError(f"'{column}' in {where} is {shown(given)}, which is no text; write it as text.")


def _references(answers: list[str | None], path: Path) -> tuple[str, ...] | None:
    given = [each for each in answers if each is not None]
    if not given:
        return None
    if len(given) < len(answers):
        raise DataError(
            f"{path.name} gives {len(given)} of {len(answers)} rows an answer; give all trusted "
            "rows one, or none."
        )
    return tuple(given)
