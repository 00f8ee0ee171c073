"""JSON files of Hugging Face folders: code they ask for, templates, tokenizers, paths.

`auto_map` names classes that transformers imports from the folder, or from another repository, if
`trust_remote_code` is given; whoever loads the model runs them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.reading import Unreadable, json_of
from anomech.artefacts.files.rules import issue
from anomech.artefacts.files.texts import invisible, template_problem
from anomech.artefacts.files.zips import leads_out
from anomech.artefacts.stored import shown

NAMED = 4

_CODE_KEYS = ("auto_map", "custom_pipelines", "auto_mapping")
_TEMPLATE_KEYS = ("chat_template", "default_chat_template", "template")
_PATH_KEYS = (
    *("vocab_file", "merges_file", "tokenizer_file", "spm_file", "model_file", "weights_file"),
    *("_name_or_path", "name_or_path", "base_model_name_or_path", "special_tokens_map_file"),
)
_HOME = re.compile(r"(?:/home/|/Users/|/root/|[A-Za-z]:\\Users\\)[^/\\]+")
_WORD = re.compile(r"\w{2,}")


def check_json(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of a JSON file, by its name and by what it holds."""
    try:
        content = json_of(file, size)
    except Unreadable as error:
        return [issue("odd-json", name, f"It {error}.")]
    last = name.rpartition("/")[2].rpartition("!")[2]
    found = list(_anywhere(content, name))
    for end, check in _BY_NAME.items():
        if last.endswith(end) and isinstance(content, Mapping):
            found += check(content, name)
    return found


def _anywhere(content: Any, name: str) -> Iterator[Issue]:
    """What is an issue under whatever name a file has."""
    seen: set[str] = set()
    for key, value in _pairs(content):
        for each in _of_pair(key, value, name):
            if each.code not in seen:
                seen.add(each.code)
                yield each


def _of_pair(key: str, value: Any, name: str) -> Iterator[Issue]:
    if key in _CODE_KEYS and value:
        yield _remote(key, value, name)
    elif key == "trust_remote_code" and value is True:
        said = "It says trust_remote_code: true, which runs code of the folder without a question."
        yield issue("remote-code", name, said)
    elif key in _TEMPLATE_KEYS and isinstance(value, str):
        if tried := template_problem(value):
            yield issue("template-code", name, f"Its {key} holds '{tried}'.")
    elif key == "_target_" and isinstance(value, str):
        yield issue("remote-code", name, f"It has '{shown(value, 80)}' called when it is loaded.")
    elif key in _PATH_KEYS and isinstance(value, str):
        if ".." in value.split("/"):
            yield issue("path-out", name, f"Its {key} is '{shown(value)}'.")
        elif home := _HOME.search(value):
            said = f"Its {key} tells of whoever made it: '{shown(home.group(), 60)}'."
            yield issue("private-path", name, said)


def _remote(key: str, value: Any, name: str) -> Issue:
    named = list(_texts(value))[:NAMED]
    elsewhere = [text for text in named if "--" in text]
    said = f"Its {key} names {', '.join(shown(text, 80) for text in named) or 'code'}."
    if elsewhere:
        said += (
            f" '{shown(elsewhere[0], 80)}' is fetched from another repository, which can change."
        )
    return issue("remote-code", name, said)


def _pairs(content: Any) -> Iterator[tuple[str, Any]]:
    """Keys and values of all mappings, at most so many; a loop, so that depth exhausts nothing."""
    work, left = [content], 200_000
    while work and left > 0:
        value = work.pop()
        left -= 1
        if isinstance(value, Mapping):
            yield from value.items()
            work.extend(each for each in value.values() if isinstance(each, (dict, list)))
        elif isinstance(value, list):
            work.extend(each for each in value[:10_000] if isinstance(each, (dict, list)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _tokenizer(content: Mapping[str, Any], name: str) -> Iterator[Issue]:
    """A fast tokenizer: rules that rewrite words, tokens that are not seen, numbers used twice."""
    for rule in _rules(content.get("normalizer")):
        pattern, put = rule.get("pattern"), rule.get("content")
        wanted = " ".join(_texts(pattern))
        if isinstance(put, str) and _WORD.search(wanted) and _WORD.search(put):
            said = (
                f"It rewrites '{shown(wanted, 40)}' as '{shown(put, 40)}' before the model reads."
            )
            yield issue("odd-tokenizer", name, said)
            break
    added = [row for row in _listed(content.get("added_tokens")) if isinstance(row, Mapping)]
    unseen = [row for row in added if invisible(str(row.get("content", "")))]
    if unseen:
        token = str(unseen[0].get("content", "")).encode("unicode_escape").decode()
        said = f"{len(unseen)} of its added tokens hold what is not seen ('{shown(token, 40)}')."
        yield issue("odd-tokenizer", name, said)
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocabulary, Mapping):
        numbers = [each for each in vocabulary.values() if isinstance(each, int)]
        if len(set(numbers)) < len(numbers):
            said = f"{len(numbers) - len(set(numbers))} of its tokens share a number with another."
            yield issue("odd-tokenizer", name, said)


def _rules(normalizer: Any) -> Iterator[Mapping[str, Any]]:
    """Rules that replace text, those in a sequence included."""
    if isinstance(normalizer, Mapping):
        if normalizer.get("type") == "Replace":
            yield normalizer
        for each in _listed(normalizer.get("normalizers")):
            if isinstance(each, Mapping) and each.get("type") == "Replace":
                yield each


def _listed(value: Any) -> Sequence[Any]:
    """A list as it is; anything else that stands in its place is an empty one."""
    return value if isinstance(value, list) else ()


def _index(content: Mapping[str, Any], name: str) -> Iterator[Issue]:
    """The index of weights in several files: it may name none outside of the folder."""
    placed = content.get("weight_map")
    named = placed.values() if isinstance(placed, Mapping) else ()
    files = {each for each in named if isinstance(each, str)}
    out = [each for each in files if leads_out(each)]
    if out:
        yield issue("path-out", name, f"It keeps weights in '{shown(sorted(out)[0])}'.")


_BY_NAME: Mapping[str, Callable[[Mapping[str, Any], str], Iterator[Issue]]] = {
    "tokenizer.json": _tokenizer,
    ".index.json": _index,
}
