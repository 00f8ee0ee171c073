"""Synthetic run folders: records built in code, previews that are small noise pictures."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomech import records
from anomech.calibration.excess import Traffic, tolerated

PARTS = ("stem", "stage1", "stage2", "stage3", "head")
CAUSES = ("unexplained mechanism", "mechanism of another class", "unfamiliar input")
CLEAN = (0.93, 0.91, 0.88, 0.86, 0.90)
PLANTED = ((0.90, 0.84, 0.61, 0.33, 0.21), (0.92, 0.90, 0.86, 0.55, 0.62))


def noise_picture(index: int, side: int) -> bytes:
    """A small picture of noise as PNG."""
    pixels = np.random.default_rng(index).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


@dataclass
class Maker:
    """Writes a run folder.

    Attributes:
        inputs: number of inputs.
        groups: number of flagged inputs in each mechanism.
        lone: flagged inputs outside all mechanisms.
        anchors: number of anchors; as many calibration examples are made.
        budget: of the run.
        picture: makes a preview from (role, index, mechanism or 0).
        name: makes an id from (role, index).
        answer: makes an answer from (role, index, mechanism or 0).
        texts: previews are text files instead of pictures.
    """

    inputs: int = 60
    groups: tuple[int, ...] = (10, 5)
    lone: int = 3
    anchors: int = 50
    budget: float = 0.02
    picture: Callable[[str, int, int], bytes] = lambda role, index, group: noise_picture(index, 16)
    name: Callable[[str, int], str] = lambda role, index: f"{role}-{index:04d}"
    answer: Callable[[str, int, int], str] = lambda role, index, group: str(
        group if group > 0 else index % 10
    )
    texts: bool = False
    mechanisms: list[records.Mechanism] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write all files of a complete run."""
        rng = np.random.default_rng(3)
        examples = self._trusted(folder) + [
            self._example(folder, "input", index) for index in range(self.inputs)
        ]
        verdicts = [self._verdict(index, rng) for index in range(self.inputs)]
        self.mechanisms = [self._mechanism(number + 1) for number in range(len(self.groups))]
        records.write_record(folder / "run.json", self.run())
        records.write_rows(folder / "examples.jsonl", examples)
        records.write_rows(folder / "verdicts.jsonl", verdicts)
        records.write_rows(folder / "scores" / "profile.jsonl", self._scores(verdicts, rng))
        records.write_findings(folder / "findings.json", self._findings())
        return folder

    def group(self, index: int) -> int:
        """The mechanism of an input: 0 for none, -1 for a lone flag."""
        start = 0
        for number, size in enumerate(self.groups):
            if start <= index < start + size:
                return number + 1
            start += size
        return -1 if index < start + self.lone else 0

    def run(self) -> records.Run:
        """The top record."""
        flagged = sum(self.groups) + self.lone
        return records.Run(
            status="complete",
            title="Digits classifier, release 3",
            task="image classifier, 10 classes",
            budget=self.budget,
            tolerated=tolerated([Traffic(self.inputs, self.anchors)], self.budget),
            started="2026-03-02T09:14:55Z",
            seconds=83.2,
            classes=tuple(str(digit) for digit in range(10)),
            provenance=records.Provenance(
                anomech="0.1.0",
                python="3.11.9",
                torch="2.9.0",
                numpy="2.3.1",
                device="cpu",
                threads=2,
                seed=7,
                model="sha256:" + "3fa9c1d2" * 8,
                parameters=176_432,
                watched=176_432,
                reference="sha256:" + "77e0ab51" * 8,
                inputs="sha256:" + "0c4be9f7" * 8,
            ),
            trusted=records.Trusted(
                total=2 * self.anchors + 4,
                anchors=self.anchors,
                calibration=self.anchors,
                misanswered=3,
                dropped=1,
                needed=49,
                explained=dict(zip(PARTS, CLEAN, strict=True)),
            ),
            detectors=(
                self._detector("profile", True, flagged, 3.0),
                self._detector("mean_coupling", False, flagged // 3, 3.0),
                self._detector("energy", False, 2, 0.0),
                self._detector(
                    "mahalanobis", False, flagged // 2, 0.0, ("class 7 has 4 anchors only",)
                ),
            ),
            mechanisms=tuple(self.mechanisms),
            truth=records.Truth(
                triggered=sum(self.groups),
                true_positives=sum(self.groups),
                false_positives=self.lone,
                auroc={"profile": 0.998, "mean_coupling": 0.861, "energy": 0.52},
                note="BadNets patch on class 0, blended trigger on class 1.",
            ),
        )

    def _detector(
        self, name: str, lead: bool, flagged: int, cost: float, problems: tuple[str, ...] = ()
    ) -> records.DetectorSummary:
        return records.DetectorSummary(
            name=name,
            lead=lead,
            flagged=flagged,
            inputs=self.inputs,
            threshold=22.5,
            calibration=self.anchors,
            evaluations=cost,
            fit_seconds=1.92,
            score_seconds=12.4,
            problems=problems,
        )

    def _example(self, folder: Path, role: str, index: int) -> records.ExampleRow:
        group = self.group(index) if role == "input" else 0
        preview = f"previews/{role}-{index}" + (".txt" if self.texts else ".png")
        (folder / "previews").mkdir(parents=True, exist_ok=True)
        content = self.picture(role, index, group)
        (folder / preview).write_bytes(content)
        return records.ExampleRow(
            id=self.name(role, index),
            role=role,
            digest=f"{index:08x}",
            answer=self.answer(role, index, group),
            preview=preview,
        )

    def _trusted(self, folder: Path) -> list[records.ExampleRow]:
        rows = [self._example(folder, "anchor", index) for index in range(self.anchors)]
        rows += [self._example(folder, "calibration", index) for index in range(self.anchors)]
        left_out = {"used": False, "reason": "the model answers it wrongly"}
        rows += [
            self._example(folder, "anchor", self.anchors + index).model_copy(update=left_out)
            for index in range(3)
        ]
        odd = {"used": False, "reason": "no other anchor explains it (explained fraction 0.12)"}
        last = self._example(folder, "anchor", self.anchors + 3)
        return [*rows, last.model_copy(update=odd)]

    def _verdict(self, index: int, rng: np.random.Generator) -> records.Verdict:
        group = self.group(index)
        name, said = self.name("input", index), self.answer("input", index, group)
        if group == 0:
            # Ordinary inputs stay above the budget, so that the number of flags is known.
            p_value = float(np.ceil(rng.uniform(self.budget, 1) * 501) / 501)
            score = float(8 + 10 * (1 - p_value) + rng.normal())
            return records.Verdict(
                id=name,
                answer=said,
                score=score,
                p_value=p_value,
                decision="clear",
                reason="Trusted data explains it.",
            )
        views = {cause: float(rng.uniform(0.1, 0.9)) for cause in CAUSES}
        cause = CAUSES[(group - 1) % 3] if group > 0 else CAUSES[2]
        views[cause] = 1 / 501
        shares = PLANTED[(group - 1) % 2] if group > 0 else tuple(0.8 * share for share in CLEAN)
        return records.Verdict(
            id=name,
            answer=said,
            score=float(rng.gamma(30, 2) + 25),
            p_value=1 / 501,
            decision="flag",
            cause=cause,
            views=views,
            reason=f"Trusted examples explain 21\u00a0% of how the model reaches “{said}”; "
            "90\u00a0% is usual.",
            mechanism=group if group > 0 else None,
            evidence=tuple(
                records.Evidence(
                    anchor=self.name("anchor", int(near)),
                    answer=self.answer("anchor", int(near), 0),
                    coupling=0.4 - 0.07 * rank,
                )
                for rank, near in enumerate(rng.choice(self.anchors, 3, replace=False))
            ),
            explained={
                part: float(np.clip(share + rng.normal(0, 0.03), 0, 1))
                for part, share in zip(PARTS, shares, strict=True)
            },
        )

    def _mechanism(self, number: int) -> records.Mechanism:
        first = sum(self.groups[: number - 1])
        members = range(first, first + self.groups[number - 1])
        return records.Mechanism(
            number=number,
            size=len(members),
            answers={self.answer("input", first, number): len(members)},
            causes={CAUSES[(number - 1) % 3]: len(members)},
            cohesion=0.93 - 0.1 * number,
            examples=tuple(self.name("input", index) for index in members[:6]),
            explained=dict(zip(PARTS, PLANTED[(number - 1) % 2], strict=True)),
        )

    def _scores(
        self, verdicts: list[records.Verdict], rng: np.random.Generator
    ) -> list[records.ScoreRow]:
        rows = []
        for index in range(self.anchors):
            p_value = (index + 1) / (self.anchors + 1)
            score = 8 + 10 * (1 - p_value) + float(rng.normal())
            rows.append(
                records.ScoreRow(
                    id=self.name("calibration", index),
                    role="calibration",
                    score=score,
                    p_value=p_value,
                    decision="clear",
                )
            )
        return rows + [
            records.ScoreRow(
                id=one.id,
                role="input",
                score=one.score or 0.0,
                p_value=one.p_value or 1.0,
                decision=one.decision,
            )
            for one in verdicts
        ]

    def _findings(self) -> list[records.Finding]:
        wrong = records.Finding(
            code="ANM203",
            severity="low",
            title="Some trusted examples are answered wrongly",
            detail="3 of the trusted examples are answered wrongly by the model.",
            action="Check their labels.",
        )
        shared = records.Finding(
            code="ANM101",
            severity="high",
            title="Two groups of inputs share a mechanism",
            detail="Their responses resemble each other and nothing that is trusted.",
            action="Hold back the answers “0” and “1” for inputs like these.",
        )
        return [wrong, shared] if self.groups else [wrong]


@pytest.fixture
def maker() -> type[Maker]:
    """The class that writes synthetic run folders."""
    return Maker


@pytest.fixture
def noise() -> Callable[[int, int], bytes]:
    """Makes a PNG of noise from an index and a side."""
    return noise_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small complete run."""
    return Maker().write(tmp_path / "run")
