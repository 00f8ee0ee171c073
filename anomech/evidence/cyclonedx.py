"""CycloneDX 1.6: the model, its files and what was found, as a bill of materials (ECMA-424).

The model is a component of the type `machine-learning-model` with a model card, each file one with
its hash, each finding a vulnerability that affects one of them. The serial number comes from the
content: the same run gives the same bill.
"""

import json
import uuid
from typing import Any

from anomech.evidence.rules import GRAVITY, techniques
from anomech.evidence.subject import Subject
from anomech.records import Finding

VERSION = "1.6"
SEVERITIES = {"high": "high", "medium": "medium", "low": "low", "info": "info"}


def cyclonedx(subject: Subject) -> str:
    """A run as a bill of materials in JSON."""
    refs = {row.path: f"file-{place}" for place, row in enumerate(subject.files)}
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "version": 1,
        "metadata": {
            "timestamp": subject.started,
            "tools": {
                "components": [
                    {
                        "type": "application",
                        "name": "anomech",
                        "version": subject.provenance.anomech,
                    }
                ]
            },
            "component": _model(subject),
        },
        "components": [
            {
                "type": "file",
                "bom-ref": refs[row.path],
                "name": row.path,
                "description": row.kind,
                **({"hashes": [_hash(row.sha256)]} if row.sha256 else {}),
                "properties": [{"name": "anomech:bytes", "value": str(row.size)}],
            }
            for row in subject.files
        ],
        "dependencies": [{"ref": "model", "dependsOn": sorted(refs.values())}],
        "vulnerabilities": [
            _vulnerability(place, each, refs) for place, each in enumerate(subject.findings)
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(bill, sort_keys=True))
    return json.dumps({**bill, "serialNumber": f"urn:uuid:{serial}"}, indent=2) + "\n"


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _model(subject: Subject) -> dict[str, Any]:
    source = subject.provenance
    metrics = [
        {"type": name, "value": f"{value:.6g}"} for name, value in sorted(subject.numbers.items())
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": "model",
        "name": subject.title,
        "modelCard": {
            **({"modelParameters": {"task": subject.task}} if subject.task else {}),
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": {
                "technicalLimitations": [
                    "A finding is a reason to look; no finding does not prove that the model holds "
                    "no backdoor.",
                ],
            },
        },
        "properties": [
            {"name": f"anomech:{name}", "value": value}
            for name, value in {
                **subject.facts,
                "model digest": source.model,
                "trusted examples digest": source.reference,
                "seed": str(source.seed),
                "torch": source.torch,
            }.items()
        ],
    }


def _vulnerability(place: int, finding: Finding, refs: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "bom-ref": f"finding-{place}",
        "id": finding.code,
        "source": {"name": "anomech"},
        "ratings": [
            {
                "severity": SEVERITIES[finding.severity],
                "score": float(GRAVITY[finding.severity]),
                "method": "other",
            }
        ],
        "description": finding.title,
        "detail": finding.detail,
        "recommendation": finding.action,
        "affects": [{"ref": refs.get(finding.where.partition("!")[0], "model")}],
    }
    if used := techniques(finding.code):
        made["properties"] = [{"name": "anomech:atlas", "value": each} for each in used]
    if finding.accepted:
        made["analysis"] = {
            "state": "exploitable",
            "response": ["will_not_fix"],
            "detail": f"Accepted: {finding.accepted}",
        }
    return made
