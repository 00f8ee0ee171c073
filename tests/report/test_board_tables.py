"""The written tables of a bench: divisions of the cases, and what is told of many comparisons."""

from anomech.records.scorecards import BenchRun, Comparison, Interval, Rates, Scorecard
from anomech.report.board.markdown import markdown, overview


def card(kind, subject, der, role="check"):
    return Scorecard(
        id=f"{kind}-{subject}/knn", suite="s", data="d", network="n", kind=kind, subject=subject,
        role=role, seed=0, detector="knn", status="done", normal=100, anomalous=50,
        rates=(Rates(threshold="calibrated", budget=0.01, filtered=False, fpr=1 - der, der=der),),
    )  # fmt: skip


def run(comparisons=()):
    return BenchRun(
        suite="s", title="t", description="", status="complete", started="", seconds=1, cells=4,
        done=4, failed=0, versions={}, hardware="", comparisons=comparisons,
    )  # fmt: skip


CARDS = [
    *(card("old", "a", 0.9, "development"), card("old", "b", 0.8, "development")),
    *(card("new", "a", 0.7), card("new", "b", 0.5)),
]


def test_kinds_of_network_have_a_mean_and_a_worst_of_their_own():
    text = markdown(run(), CARDS, (0.01,))
    assert "by kind of network: mean, worst" in text
    assert "| old | development | 2 | 0.850, 0.800 |" in text
    assert "| new | check | 2 | 0.600, 0.500 |" in text
    assert "by part" not in text
    assert "by kind" not in markdown(run(), CARDS[:2], (0.01,))


def test_each_role_has_a_mean_and_a_worst_and_more_false_flags_are_worse():
    lines = markdown(run(), CARDS, (0.01,)).splitlines()
    assert "| mean |  | 0.725 |" in lines
    assert "| worst |  | 0.500 |" in lines
    assert "| worst, development |  | 0.800 |" in lines
    flags = lines[lines.index("## Measured FPR at a calibrated 1%, percent") :]
    assert "| worst |  | 50.00 |" in flags
    assert "| worst, development |  | 20.00 |" in flags


def test_the_short_table_has_the_worst_case_beside_the_mean():
    head, (row,) = overview(CARDS, 0.01)
    told = dict(zip(head, row, strict=True))
    assert (told["DER"], told["worst"]) == ("0.725", "0.500")


def compared(case, value):
    interval = Interval(value=value, low=value, high=value)
    return Comparison(case=case, first="x", second="y", measure="DER", difference=interval)


def test_of_many_comparisons_the_mean_and_the_worst_case_are_told():
    many = tuple(compared(f"case {number}", 0.1 - number / 1000) for number in range(60))
    text = markdown(run((*many, compared("mean", 0.07))), CARDS, (0.01,))
    told = [line for line in text.splitlines() if line.startswith("| x less y")]
    assert [line.split(" | ")[2] for line in told] == ["mean", "case 59"]
    few = markdown(run(many[:3]), CARDS, (0.01,))
    assert few.count("| x less y") == 3
