"""Other packages in the path of Python, as if they were installed, without installing them."""

import sys
import tomllib
from contextlib import contextmanager
from pathlib import Path

from anomech.kernel import plugins

TOYS = Path(__file__).parents[1] / "plugin_package"


def announce(folder, name, points):
    """Write what an installed package says of itself: entry points by group."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@contextmanager
def installed(*folders):
    """Put folders in the path for a while, and forget their modules afterwards."""
    added = [str(folder) for folder in folders]
    known = set(sys.modules)
    sys.path[:0] = added
    plugins._foreign.cache_clear()
    try:
        yield
    finally:
        sys.path[:] = [entry for entry in sys.path if entry not in added]
        plugins._foreign.cache_clear()
        for name in set(sys.modules) - known:
            place = getattr(sys.modules[name], "__file__", None) or ""
            if any(place.startswith(folder) for folder in added):
                del sys.modules[name]


def toy_points():
    """The entry points of the toy package, by group, as its `pyproject.toml` has them."""
    project = tomllib.loads((TOYS / "pyproject.toml").read_text())["project"]
    return project["entry-points"]
