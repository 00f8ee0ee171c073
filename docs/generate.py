"""Write one page per method from its docstring and options: `python docs/generate.py`."""

import importlib
import sys
from pathlib import Path

from anomech.kernel import plugins
from anomech.kernel.config import describe
from anomech.roles.access import access

HERE = Path(__file__).parent / "methods"

LOOKING = ("detector", "explainer", "screen")
"""Kinds whose methods look at a model and change nothing."""


def pages() -> dict[Path, str]:
    """Every page by its path; a test holds them against the committed ones."""
    made, index = (
        {},
        ["# Methods", "", "Made by `python docs/generate.py` from the docstrings.", ""],
    )
    for kind, folder in plugins.KINDS.items():
        names = plugins.names(kind)
        if names:
            index += [f"## {kind.capitalize()}s", ""]
        for name in names:
            module = importlib.import_module(f"{folder}.{name}")
            made[HERE / kind / f"{name}.md"] = page(kind, name, module.__doc__ or "")
            first = (module.__doc__ or "").strip().splitlines()[0]
            index.append(f"- [{name}]({kind}/{name}.md): {first}")
        if names:
            index.append("")
    made[HERE / "README.md"] = "\n".join(index).rstrip() + "\n"
    return made


def page(kind: str, name: str, docstring: str) -> str:
    """One method."""
    lines = [f"# {name}", "", f"*{kind}*", ""]
    for line in docstring.strip().splitlines():
        head, colon, rest = line.partition(": ")
        labeled = colon and head in ("Belief", "Equation", "Source", "Needs", "Cost", "Fails when")
        lines.append(f"\n**{head}.** {rest[:1].upper()}{rest[1:]}" if labeled else line)
    method = plugins.get(kind, name)
    if kind in LOOKING:
        taken = " and ".join(access(method().needs))
        lines += ["", f"**Access.** Of the model: {taken}."]
    rows = describe(method)
    if rows:
        lines += ["", "| option | default | unit | meaning |", "| --- | --- | --- | --- |"]
        lines += [
            f"| `{row['name']}` | `{row['default']}` | {row['unit']} | {row['help']} |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write all pages and remove those of methods that are gone."""
    made = pages()
    for old in HERE.rglob("*.md"):
        if old not in made:
            old.unlink()
    for path, text in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
