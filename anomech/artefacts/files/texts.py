"""Text that something else would run: code, templates, YAML, XML, lists of packages.

Code beside a model is not malicious by being there, so it is named and graded by what it calls.
Patterns are looked for, and nothing is parsed: a file may be made to break a parser.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.reading import text_of
from anomech.artefacts.files.rules import issue
from anomech.artefacts.stored import shown

_CALLS = re.compile(
    r"(?<![\w.])(?:"
    r"os\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*|remove|unlink|rmdir|putenv)"
    r"|subprocess|pty\.spawn|commands\.getoutput|shutil\.rmtree"
    r"|eval(?=\s*\()|exec(?=\s*\()|compile(?=\s*\()|__import__|importlib\.import_module"
    r"|builtins|ctypes|cffi|marshal\.loads?|runpy"
    r"|pickle\.loads?|cPickle|dill\.loads?|joblib\.load|torch\.load"
    r"|socket|urllib|requests\.|httpx|http\.client|ftplib|smtplib|paramiko|webbrowser"
    r"|base64\.b\w*decode|codecs\.decode|zlib\.decompress"
    r")\b"
)
"""Functions and modules that start processes, reach the network, load code or hide it."""

_TEMPLATE = re.compile(
    r"__\w{2,}__|\|\s*attr\b|\.\s*(?:mro|func_globals|gi_frame|cr_frame)\b|\bself\._"
    r"|\b(?:cycler|joiner|lipsum|get_flashed_messages|url_for)\s*[.\[(]"
    r"|\{%-?\s*(?:include|import|from|extends)\b|\b(?:os|subprocess)\s*\.\s*\w+\s*\("
)
"""What leads out of a template's sandbox, or is tried for that."""

# Repetitions are bounded or stay within a line: a text may be made to keep a pattern busy.
_YAML = re.compile(
    r"!!python/|!<tag:yaml\.org,2002:python/"
    r"|^[ \t]*_target_[ \t]*:[ \t]*(?:os|subprocess|builtins)\b",
    re.M,
)
_ENTITY = re.compile(r"<!(?:ENTITY|DOCTYPE[^>]{0,500}\[)", re.I)
_OUTSIDE = re.compile(
    # Blanks are not given back: each way of sharing them with what follows would be tried.
    r"^[ \t]*+(?:-i\b|--(?:extra-)?index-url|--find-links|-f\b|--trusted-host|-e\b"
    r"|[^\n]{0,300}?(?:git\+|https?://|file:))",
    re.M,
)
_INVISIBLE = re.compile(
    r"[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\U000e0000-\U000e007f]"
)

NAMED = 6


def calls_in(code: str) -> tuple[str, ...]:
    """What a code calls of the kind that is looked for, each once."""
    return tuple(dict.fromkeys(found.group().rstrip(".") for found in _CALLS.finditer(code)))


def check_python(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of Python code."""
    code = text_of(file)
    found = calls_in(code)
    hidden = (
        "Characters in it are not seen, or turn what is read. " if _INVISIBLE.search(code) else ""
    )
    if found or hidden:
        said = f"{hidden}It uses {', '.join(found[:NAMED])}." if found else hidden.strip()
        return [issue("suspicious-code", name, f"{said} It was not run.")]
    said = "Loading the model with trust_remote_code, or importing it, runs it. It was not run."
    return [issue("python-code", name, said)]


def check_script(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of a script of a shell or of another language."""
    line = text_of(file, 200).partition("\n")[0]
    return [issue("script", name, f"It begins with '{shown(line, 60)}' and was not run.")]


def template_problem(text: str) -> str:
    """What a template tries that fills in no text; empty if nothing."""
    found = _TEMPLATE.search(text)
    return "" if found is None else shown(found.group().strip(), 40)


def check_template(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of a template of a chat."""
    tried = template_problem(text_of(file))
    return [issue("template-code", name, f"It holds '{tried}'.")] if tried else []


def check_yaml(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of YAML."""
    found = _YAML.search(text_of(file))
    return (
        [issue("yaml-code", name, f"It holds '{shown(found.group().strip())}'.")] if found else []
    )


def check_xml(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of XML."""
    text = text_of(file)
    listed = []
    if _ENTITY.search(text):
        said = "It defines entities, which can name other files or grow without bound."
        listed.append(issue("xml-entity", name, said))
    if re.search(r"<script\b|\bon(?:load|error|click)\s*=", text, re.I):
        listed.append(issue("script", name, "It is a picture or document with a script in it."))
    return listed


def check_text(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of plain text by its name."""
    last = name.rpartition("/")[2].lower()
    if not re.fullmatch(r"(?:.*requirements.*\.(?:txt|in)|constraints\.txt|pip\.conf)", last):
        return []
    return [*_outside(text_of(file), name)]


def _outside(text: str, name: str) -> Iterator[Issue]:
    found = _OUTSIDE.search(text)
    if found is not None:
        line = text[found.start() :].lstrip("\n").partition("\n")[0]
        yield issue("outside-package", name, f"It asks for '{shown(line.strip(), 80)}'.")


def invisible(text: str) -> bool:
    """Whether a text has characters that are not seen, or turn what is read."""
    return _INVISIBLE.search(text) is not None
