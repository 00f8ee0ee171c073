"""The committed pages are those the docstrings give, and every link in the docs leads somewhere."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_method_pages_are_current():
    made = runpy.run_path(str(ROOT / "docs/generate.py"))["pages"]()
    assert {path: path.read_text(encoding="utf-8") for path in made} == made
    assert set((ROOT / "docs/methods").rglob("*.md")) == set(made)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
