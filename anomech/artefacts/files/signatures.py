"""Signatures of model folders in the form of OpenSSF model signing: whether digests match.

A signature file holds the digests of all files and is signed itself. Digests are compared here,
offline; whose signature it is takes the signer's key or identity: `model_signing verify` of the
package `model-signing` (github.com/sigstore/model-transparency).
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from anomech.artefacts.files.found import FoundFile, Issue
from anomech.artefacts.files.reading import Unreadable, parsed
from anomech.artefacts.files.rules import issue
from anomech.artefacts.stored import shown

NAMES = ("model.sig", "claims.jsonl")


def check_signature(content: Any, name: str, files: Sequence[FoundFile]) -> list[Issue]:
    """Issues of a signature against the files that were found."""
    resources = _resources(content)
    if resources is None:
        return [issue("odd-signature", name, "It is no signature of a form that is known.")]
    folder = name.rpartition("/")[0]
    known = {each.path: each.sha256 for each in files}
    signed = {f"{folder}/{path}" if folder else path: digest for path, digest in resources.items()}
    differ = sorted(path for path, digest in signed.items() if known.get(path) != digest)
    if differ:
        said = f"{len(differ)} of {len(signed)} signed files differ or are gone"
        said += f", such as '{shown(differ[0])}'."
        return [issue("broken-signature", name, said)]
    inside = {path for path in known if path.startswith(f"{folder}/" if folder else "")}
    more = sorted(inside - set(signed) - {name})
    if more:
        said = f"{len(more)} files are not among those signed, such as '{shown(more[0])}'."
        return [issue("partial-signature", name, said)]
    said = f"All {len(signed)} files are as they were signed; who signed them was not verified."
    return [issue("signed", name, said)]


def _resources(content: Any) -> dict[str, str] | None:
    """SHA-256 by path; None if there are none."""
    try:
        payload = parsed(base64.b64decode(content["dsseEnvelope"]["payload"], validate=True))
        rows = payload["predicate"]["resources"]
        return {str(row["name"]): str(row["digest"]) for row in rows if isinstance(row, Mapping)}
    except (KeyError, TypeError, ValueError, binascii.Error, Unreadable):
        return None
