"""The page in a browser: it renders without an error, and a picture of it is not blank."""

import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from anomech.report.render import render

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


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_chromium_renders_the_page(folder: Path, tmp_path: Path):
    page = render(folder)

    def browse(*more: str) -> subprocess.CompletedProcess[str]:
        profile = tmp_path / f"profile-{len(list(tmp_path.iterdir()))}"
        command = ["chromium", *FLAGS, "--enable-logging=stderr", f"--user-data-dir={profile}"]
        return subprocess.run(
            [*command, *more, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )

    dumped = browse("--dump-dom")
    assert "18 of 60 inputs were flagged." in dumped.stdout
    assert "Content Security Policy" not in dumped.stderr, (
        "the style sheet or a picture was refused"
    )
    picture = tmp_path / "page.png"
    browse("--window-size=1280,2400", f"--screenshot={picture}")
    colors = Image.open(picture).convert("RGB").getcolors(maxcolors=1 << 24)
    assert colors is not None
    assert len(colors) > 200
