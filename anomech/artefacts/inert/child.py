"""What the process that reads a stranger's file does: one file in, one JSON object out.

It is started by `anomech.artefacts.sandbox` with the file as its standard input, gives itself
limits before it looks at a byte, and answers one of:

- `{"unsafe": names, "root": name}`: the file asks for code; `root` is the class saved, if any
- `{"refused": sentence part, "remedy": ...}` or `{"damaged": sentence part}`
- `{"rows": ..., "storages": {key: [first byte, length]}}`; the last row is what was saved
"""

import gc
import json
import os
import sys
from typing import Any, BinaryIO

from anomech.artefacts.inert.allowed import is_allowed
from anomech.artefacts.inert.kinds import HEAD, refuse_head
from anomech.artefacts.inert.layouts import Layout, places, read_pickles, read_zip
from anomech.artefacts.inert.machine import Machine
from anomech.artefacts.inert.nodes import Damaged, Refused
from anomech.artefacts.inert.rows import Rows
from anomech.artefacts.inert.values import resolve

SCRIPT_NAMES = ("__torch__.", "torch.jit.")
"""What programs of TorchScript name; that they are programs says more."""

SHOWN = 1000
"""Names that are handed on."""


def read(file: BinaryIO, size: int) -> dict[str, Any]:
    """Read a file of `size` bytes."""
    machine = Machine()
    layout: Layout | None = None
    problem: Damaged | Refused | None = None
    try:
        head = file.read(HEAD)
        refuse_head(head)
        file.seek(0)
        is_zip = head[:4] == b"PK\x03\x04"  # which is how torch tells its formats apart
        layout = read_zip(file, size, machine) if is_zip else read_pickles(file, machine)
    except (Damaged, Refused) as error:
        problem = error
    unsafe = [name for name in machine.names if not is_allowed(name)]
    script = problem is not None and all(name.startswith(SCRIPT_NAMES) for name in unsafe)
    if unsafe and not script:
        root = layout.root if layout is not None else None
        called = root.parts[0].value if root is not None and root.kind == "call" else ""
        return {"unsafe": sorted(unsafe)[:SHOWN], "root": called or ""}
    if problem is not None:
        return _problem(problem)
    assert layout is not None
    try:
        return _content(layout, file, size)
    except (Damaged, Refused) as error:
        return _problem(error)


def _content(layout: Layout, file: BinaryIO, size: int) -> dict[str, Any]:
    if layout.kind == "pickle":
        raise Refused("is a pickle that torch.save did not write")
    rows = Rows(layout.size)
    root = resolve(layout.root, rows)
    keys = None if layout.keys is None else resolve(layout.keys, rows)
    storages = places(layout, rows, keys, file, size)
    return {"rows": rows.needed_for(root), "storages": storages}


def _problem(problem: Damaged | Refused) -> dict[str, Any]:
    if isinstance(problem, Refused):
        return {"refused": problem.what, "remedy": problem.remedy}
    return {"damaged": str(problem)}


def limit(memory: int, seconds: int) -> None:
    """Bound what this process may take, where the system can (not on Windows).

    macOS does not enforce the limit of memory; there the bounds of the machine itself remain, which
    take some 200 bytes an instruction.
    """
    try:
        import resource
    except ImportError:
        return
    wanted = {
        "RLIMIT_AS": memory,
        "RLIMIT_CPU": seconds,
        "RLIMIT_FSIZE": 0,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": 0,
    }
    for name, most in wanted.items():
        kind = getattr(resource, name, None)
        try:
            if kind is not None:
                resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # it is lower already, or the system has no such limit
            continue


def main(memory: int, seconds: int, most: int) -> None:
    """Read standard input and answer on standard output, with at most `most` bytes."""
    limit(memory, seconds)
    gc.disable()  # there is nothing to collect before the end, and looking for it takes most time
    try:
        size = os.fstat(0).st_size
        with open(0, "rb", closefd=False) as file:
            reply = json.dumps(read(file, size))
    except MemoryError:
        reply = json.dumps({"refused": f"takes more than {memory >> 20} MiB to look through"})
    if len(reply) > most:
        reply = json.dumps({"refused": f"describes more than {most >> 20} MiB of plain values"})
    sys.stdout.write(reply)
    sys.stdout.flush()
    os._exit(0)  # without taking millions of nodes apart
