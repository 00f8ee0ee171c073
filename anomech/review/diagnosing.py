"""What an anomaly is most like, in words: backdoor, foreign data, error, shortcut and more."""

from collections.abc import Sequence

from anomech.records import Diagnosis, Mechanism, Run, Verdict

ONE_ANSWER = 0.9
"""Share of a mechanism's inputs with the same answer from which on it leads there."""

UNFAMILIAR = "unfamiliar input"
MANY_ALONE = 5


def diagnoses(run: Run, verdicts: Sequence[Verdict]) -> list[Diagnosis]:
    """One for each mechanism, and one for the flags that share none."""
    found = [_of(each) for each in run.mechanisms]
    alone = [row for row in verdicts if row.decision == "flag" and row.mechanism is None]
    if alone:
        found.append(_alone(alone))
    return found


def _of(mechanism: Mechanism) -> Diagnosis:
    name = f"mechanism {mechanism.number}"
    answers, size = mechanism.answers, mechanism.size
    answer = max(sorted(answers), key=lambda each: answers[each])
    share = answers[answer] / size
    cause = max(sorted(mechanism.causes), key=lambda each: mechanism.causes[each])
    if cause == UNFAMILIAR:
        return Diagnosis(
            name="foreign data",
            of=name,
            because=f"{size} inputs respond alike and are unlike anything trusted.",
            check="Show them to a person: do they belong to the task? If so, trust some like them.",
        )
    if share >= ONE_ANSWER:
        return Diagnosis(
            name="backdoor",
            of=name,
            because=(
                f"{share:.0%} of {size} inputs that respond alike are answered '{answer}', and "
                f"trusted examples with that answer do not explain how ({cause})."
            ),
            check="Take from one input what all share, and lay it over a trusted one: does the "
            "answer follow? If trusted examples of that answer show it too, it is a shortcut.",
        )
    return Diagnosis(
        name="shortcut",
        of=name,
        because=f"{size} inputs respond alike but get {len(answers)} different answers ({cause}).",
        check="Look for a background, tool or style that they share; correct labels in training.",
    )


def _alone(rows: Sequence[Verdict]) -> Diagnosis:
    confident = sum(row.cause == "implausible confidence" for row in rows)
    of = f"{len(rows)} flags" if len(rows) > 1 else "one flag"
    of += " without a mechanism"
    if confident > len(rows) / 2 and len(rows) >= MANY_ALONE:
        return Diagnosis(
            name="adversarial input",
            of=of,
            because="The model is surer or less sure of them than of anything trusted, each in its "
            "own way, as where inputs were changed one by one.",
            check="Add a little noise: an answer that was made by a small change does not stay.",
        )
    return Diagnosis(
        name="plain error",
        of=of,
        because="They do not respond alike, and so many are flagged by chance or are hard cases.",
        check="Compare their number with what chance gives (the audit's report says both).",
    )
