"""Previews: only files inside the run folder, only what they claim to be, each once."""

import base64
import struct
import zlib
from pathlib import Path

import pytest

from anomech.records import ExampleRow
from anomech.report.run import embedded


def row(preview: str | None, name: str = "one") -> ExampleRow:
    return ExampleRow(id=name, role="input", digest="0", answer="3", preview=preview)


def shown(folder: Path, *rows: ExampleRow) -> tuple[str, list[str]]:
    found = embedded.load(folder, rows)
    return str(found.definitions), [str(found.of(one)) for one in rows]


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "previews/../../secret.png", "/etc/hostname.txt", "..\\secret.png",
     "C:/secret.png", "previews/link.png", "file:///secret.png", "secret.svg", "secret"],
)  # fmt: skip
def test_nothing_outside_the_folder_and_no_other_kind(name, tmp_path, noise):
    run = tmp_path / "run"
    (run / "previews").mkdir(parents=True)
    for path in (tmp_path / "secret.png", run / "secret.svg", run / "secret"):
        path.write_bytes(noise(1, 8))
    (run / "previews" / "link.png").symlink_to(tmp_path / "secret.png")
    definitions, (markup,) = shown(run, row(name))
    assert definitions == ""
    assert "preview refused" in markup


def test_the_same_picture_is_embedded_once(tmp_path, noise):
    (tmp_path / "a.png").write_bytes(noise(1, 8))
    (tmp_path / "b.png").write_bytes(noise(1, 8))
    definitions, (first, second) = shown(tmp_path, row("a.png", "a"), row("b.png", "b"))
    assert definitions.count("data:image/png;base64,") == 1
    assert '<use href="#picture-0"/>' in first
    assert '<use href="#picture-0"/>' in second
    assert base64.b64encode(noise(1, 8)).decode() in definitions


def png(width: int, height: int) -> bytes:
    """The start of a picture that claims a size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    "data",
    [b"", b"<svg onload=alert(1)>", b"\x89PNG\r\n\x1a\n", png(50_000, 50_000), png(0, 8),
     png(8, 8) + bytes(embedded.LIMIT_ONE)],
)  # fmt: skip
def test_what_is_not_a_small_png_is_not_embedded(data, tmp_path):
    (tmp_path / "a.png").write_bytes(data)
    definitions, (markup,) = shown(tmp_path, row("a.png"))
    assert definitions == ""
    assert "not a small PNG" in markup


def test_the_page_stays_small_whatever_the_previews(tmp_path, noise):
    rows = []
    for index in range(40):
        (tmp_path / f"{index}.png").write_bytes(noise(index, 200))
        rows.append(row(f"{index}.png", str(index)))
    definitions, markups = shown(tmp_path, *rows)
    assert len(definitions) < 1.4 * embedded.LIMIT_ALL
    assert "picture-0" in markups[0]
    assert "page is full" in markups[-1]


def test_text_is_escaped_cleaned_and_cut(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"<b>\x1b[31mhi\x1b[0m \xff" + 5_000 * b"word ")
    _, (markup,) = shown(tmp_path, row("a.txt"))
    assert "&lt;b&gt;hi \N{REPLACEMENT CHARACTER}word" in markup
    assert len(markup) < 600
    assert "…" in markup


def test_no_preview_and_no_file_are_told_apart(tmp_path):
    _, markups = shown(tmp_path, row(None, "a"), row("gone.png", "b"))
    assert "no preview" in markups[0]
    assert "preview missing" in markups[1]
