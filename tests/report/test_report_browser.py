"""The pages in a browser: they render without an error, and pictures of them are not blank."""

import re
import shutil
import subprocess
from pathlib import Path

import boards
import pytest
from PIL import Image

from anomech.report.board.leaderboard import render_leaderboard
from anomech.report.run.render import render

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not installed"
)


def browse(page: Path, profile: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Open a page and close the browser."""
    command = ["chromium", *FLAGS, "--enable-logging=stderr", f"--user-data-dir={profile}"]
    return subprocess.run(
        [*command, *more, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@needs_chromium
def test_chromium_renders_the_page(folder: Path, tmp_path: Path):
    page = render(folder)
    dumped = browse(page, tmp_path / "first", "--dump-dom")
    assert "18 of 60 inputs were flagged." in dumped.stdout
    assert "Content Security Policy" not in dumped.stderr, (
        "the style sheet or a picture was refused"
    )
    picture = tmp_path / "page.png"
    browse(page, tmp_path / "second", "--window-size=1280,2400", f"--screenshot={picture}")
    colors = Image.open(picture).convert("RGB").getcolors(maxcolors=1 << 24)
    assert colors is not None
    assert len(colors) > 200


@needs_chromium
def test_the_switch_of_the_leaderboard_shows_one_table_at_a_time(tmp_path: Path):
    page = render_leaderboard(boards.ood().write(tmp_path / "bench"))
    html = page.read_text()
    rates, ranks = (re.search(f"--{ramp}: (#.{{6}})", html)[1] for ramp in ("w2", "h9"))
    switched = html.replace(' id="show-der" checked', ' id="show-der"')
    other = page.with_name("other.html")
    other.write_text(switched.replace(' id="show-fpr"', ' id="show-fpr" checked'))
    for number, (path, shown, hidden) in enumerate([(page, ranks, rates), (other, rates, ranks)]):
        picture = tmp_path / f"{number}.png"
        size = "--window-size=1400,2400"
        done = browse(path, tmp_path / f"p{number}", size, f"--screenshot={picture}")
        assert "Content Security Policy" not in done.stderr
        drawn = Image.open(picture).convert("RGB")
        counts = {color: often for often, color in drawn.getcolors(maxcolors=1 << 24)}
        assert counts.get(tuple(bytes.fromhex(shown[1:])), 0) > 1000
        assert counts.get(tuple(bytes.fromhex(hidden[1:])), 0) == 0
