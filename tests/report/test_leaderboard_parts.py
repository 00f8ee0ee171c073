"""What the leaderboard counts, how it orders, and what its drawings and colors keep to."""

import re
import xml.etree.ElementTree as ET

import boards
import pytest
from boards import Bench, MadeCase
from scipy.stats import binomtest

from anomech import records
from anomech.records.scorecards import Cost, Interval, Rates, Scorecard
from anomech.report.board import counts, heat, standings
from anomech.report.board.curves import Curve, curves, steps
from anomech.report.board.leaderboard import TEMPLATES, build, render_leaderboard
from anomech.report.board.measures import measures
from anomech.report.board.standings import Spread
from anomech.report.board.whiskers import Whisker, verdict, whiskers
from anomech.report.drawing import Axis

STYLE = (TEMPLATES / "board.css").read_text(encoding="utf-8")


def rates(der, fpr=0.01, **more):
    known = {"threshold": "calibrated", "budget": 0.01, "filtered": False, "fpr": fpr, "der": der}
    return Rates(**{**known, **more})


@pytest.fixture
def bench(tmp_path):
    """Makes standings of cards that are told by detector, subject, seed, role and DER."""
    boards.Bench([], detectors=["a"]).write(tmp_path)

    def make(*told, **more):
        for number, (detector, subject, seed, role, der) in enumerate(told):
            made = Scorecard(
                id=str(number), suite="s", data="d", network="n", subject=subject, role=role,
                seed=seed, detector=detector, anomalous=5, normal=100,
                status="failed" if der is None else "done", reason="no room",
                rates=() if der is None else (rates(der), rates(0.99, filtered=True)),
            )  # fmt: skip
            made = made.model_copy(update=more)
            records.write_record(tmp_path / "cells" / f"c{number}" / "card.json", made)
        return standings.read(tmp_path)

    return make


def found_means(found):
    return build(found).panels[0].means


def test_seeds_are_averaged_with_their_range_and_cases_with_equal_weight(bench):
    found = bench(
        ("a", "x", 0, "development", 0.6), ("a", "x", 1, "development", 0.8),
        ("a", "y", 0, "check", 0.9),
    )  # fmt: skip
    row = build(found).panels[0].rows[0]
    assert [tile.text for tile in row.tiles] == ["0.700", "0.900"]
    assert [tile.range for tile in row.tiles] == [".60–.80", ""]
    assert row.mean == pytest.approx(0.8)
    means = dict(zip([column.name for column in found_means(found)], row.means, strict=True))
    assert (means["mean"].text, means["worst"].text) == ("0.800", "0.700")
    assert (means["mean, development"].text, means["mean, check"].text) == ("0.700", "0.900")
    assert means["worst"].title == "worst of all cases: x, d, n"
    assert "mean of 2 seeds, 0.600 to 0.800" in row.tiles[0].title


def test_rows_are_sorted_and_the_best_of_each_column_is_marked(bench):
    found = bench(
        ("low", "x", 0, "development", 0.9), ("low", "y", 0, "development", 0.5),
        ("high", "x", 0, "development", 0.8), ("high", "y", 0, "development", 0.8),
    )  # fmt: skip
    rows = build(found).panels[0].rows
    assert [row.detector for row in rows] == ["high", "low"]
    assert [[tile.best for tile in row.tiles] for row in rows] == [[False, True], [True, False]]


def test_a_detector_that_lacks_a_case_stands_below_whatever_its_mean(bench):
    found = bench(
        ("lucky", "x", 0, "development", 0.99), ("lucky", "y", 0, "development", None),
        ("whole", "x", 0, "development", 0.6), ("whole", "y", 0, "development", 0.6),
    )  # fmt: skip
    board = build(found)
    assert [row.detector for row in board.panels[0].rows] == ["whole", "lucky"]
    lucky = board.panels[0].rows[1]
    assert lucky.partial == "1 of 2 cases"
    assert lucky.tiles[1].notes == (1,)
    assert "no room" in lucky.tiles[1].title
    assert board.headline.headline.startswith("whole does best: DER 0.600")
    assert board.failures[0].cells == ("y, seed 0",)


def test_the_budget_spoken_of_is_one_percent_or_else_the_smallest(tmp_path):
    found = standings.read(boards.ood(budgets=(0.02, 0.05)).write(tmp_path / "a"))
    assert found.budget == 0.02
    assert measures(found)[0].name == "DER, calibrated 2\N{NO-BREAK SPACE}%"
    assert standings.read(boards.ood(budgets=(0.001, 0.01)).write(tmp_path / "b")).budget == 0.01


def test_calibrated_and_unfiltered_is_what_leads(tmp_path):
    found = standings.read(boards.ood().write(tmp_path))
    case, detector = found.cases[0], found.detectors[0]
    card = found.standing(detector, case).done[0]
    plain = next(
        one.der
        for one in card.rates
        if one.threshold == "calibrated" and one.budget == 0.01 and not one.filtered
    )
    assert measures(found)[0].of(card) == plain
    row = counts.numbers(found)[1][0]
    assert (row.detector, row.case) == (detector, case)
    names = [name for name, _ in counts.number_columns(found)]
    values = dict(zip(names, row.values, strict=True))
    assert values["DER, calibrated"] == plain
    assert values["DER, oracle"] != plain
    assert values["DER, calibrated, filtered"] != plain


def test_groups_get_means_of_their_own(tmp_path):
    panel = build(standings.read(boards.ood().write(tmp_path))).panels[0]
    assert [column.name for column in panel.means] == [
        *("mean", "worst", "mean, near", "mean, far")
    ]
    assert [(block.name, block.width) for block in panel.blocks] == [("near", 2), ("far", 4)]
    row = panel.rows[0]
    near = [float(tile.text) for tile in row.tiles[:2]]
    means = {column.name: tile.text for column, tile in zip(panel.means, row.means, strict=True)}
    assert float(means["mean, near"]) == pytest.approx(sum(near) / 2, abs=0.001)


def test_the_worst_false_positive_rate_is_the_largest(bench):
    found = bench(*(("a", name, 0, "check", 0.9) for name in "xyz"))
    harmful = next(panel for panel in build(found).panels if panel.measure.harm)
    assert harmful.measure.worst({"x": 0.01, "y": 0.03, "z": 0.02}) == "y"
    leading = build(found).panels[0].measure
    assert leading.worst({"x": 0.9, "y": 0.6, "z": 0.7}) == "y"


def test_many_cases_go_down_the_page(tmp_path):
    cases = [
        MadeCase(f"attack {number}", network=network, role=role)
        for network, role in (("old", "development"), ("new", "check"))
        for number in range(13)
    ]
    out = Bench(cases, detectors=("knn", "energy")).write(tmp_path)
    panel = build(standings.read(out)).panels[0]
    assert panel.tall
    assert [(name, len(places)) for name, places in panel.sections] == [("old", 13), ("new", 13)]
    page = render_leaderboard(out).read_text()
    assert page.count('<tr class="blocks">') == 2 * len(build(standings.read(out)).panels)
    assert 'title="worst of check cases' in page
    assert not build(standings.read(Bench(cases[:13]).write(tmp_path / "few"))).panels[0].tall


def test_check_cases_stand_last_in_their_block_and_are_marked(bench):
    found = bench(
        ("a", "x", 1, "check", 0.9), ("a", "x", 0, "development", 0.9),
        ("a", "y", 0, "development", 0.9),
    )  # fmt: skip
    columns = build(found).panels[0].columns
    assert [(column.name, column.check) for column in columns] == [
        ("x", False), ("y", False), ("x", True),
    ]  # fmt: skip
    assert [column.start for column in columns] == [True, False, True]


def test_conditions_along_an_axis_are_in_its_order(tmp_path):
    sizes = [MadeCase("x", f"trusted {n}", axis="trusted", value=n) for n in (1000, 20, 300)]
    found = standings.read(Bench(sizes, detectors=("knn",)).write(tmp_path))
    assert [case.value for case in found.cases] == [20, 300, 1000]


def test_folders_are_read_in_natural_order(bench):
    told = [("a", f"s{number}", 0, "development", 0.5) for number in range(12)]
    assert [case.subject for case in bench(*told).cases] == [f"s{number}" for number in range(12)]


@pytest.mark.parametrize(("found", "of"), [(0, 10), (3, 10), (10, 10), (30, 3000)])
def test_the_interval_is_the_exact_binomial_one(found, of):
    known = binomtest(found, of).proportion_ci(0.95, "exact")
    assert counts.binomial_interval(found, of) == pytest.approx((known.low, known.high))


def test_clean_networks_count_flags_over_all_seeds(bench):
    told = [("a", "clean", 0, "development", None), ("a", "clean", 1, "development", None)]
    low, high = (rates(None, fpr=0.0), rates(None, 0.06, budget=0.05)), (rates(None, fpr=0.08),)
    found = bench(*told, status="done", anomalous=0, rates=low)
    cell = found.cells["a", found.cases[0]]
    assert found.is_clean(found.cases[0])
    second = cell.entries[1].card.model_copy(update={"rates": high})
    records_of = standings.Standing((cell.entries[0], standings.Entry(second, "")))
    found.cells["a", found.cases[0]] = records_of
    budgets, (row,) = counts.clean(found)
    assert budgets == (0.01, 0.05)
    one, five = row.flags
    assert (one.rate.mean, one.rate.low, one.rate.high) == (0.04, 0.0, 0.08)
    assert one.inputs == 200
    assert one.interval == counts.binomial_interval(8, 200)
    assert one.side == "above"
    assert (five.inputs, five.side) == (100, "")


def test_a_perturbed_clean_network_is_no_clean_case(tmp_path):
    found = standings.read(boards.adversarial().write(tmp_path))
    assert [case.name for case in found.cases if found.is_clean(case)] == ["clean"]
    keys = {panel.measure.key: len(panel.columns) for panel in heat.panels(found, {})}
    assert keys == {"der": 5, "tpr": 5, "auroc": 5, "fpr": 6}


def test_networks_that_answer_alike_are_one_row(tmp_path):
    rows = counts.networks(standings.read(boards.steps(detectors=("knn",)).write(tmp_path)))
    assert [(row.case.subject, len(row.conditions)) for row in rows] == [
        ("badnets", 10), ("aligned_trigger", 5),
    ]  # fmt: skip


def test_cost_is_a_median_over_plain_time(bench):
    told = [("a", f"s{number}", 0, "development", 0.5) for number in range(3)]
    cost = Cost(passes=3, fit_seconds=2, score_seconds=9, plain_seconds=3, peak_mib=10)
    (row,) = counts.costs(bench(*told, cost=cost))
    assert (row.passes, row.ratio.mean, row.fit, row.peak, row.cells) == (3, 3, 2, 10, 3)
    none = cost.model_copy(update={"plain_seconds": 0.0, "peak_mib": None})
    (row,) = counts.costs(bench(*told, cost=none))
    assert (row.ratio, row.peak) == (None, None)


def test_steps_keep_apart():
    assert steps([1.0, 0.0, 0.5]).places == {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}
    logarithmic = steps([10.0, 1.0, 1000.0])
    assert logarithmic.spacing == "logarithmic"
    assert logarithmic.places[10.0] == pytest.approx(1 / 3)
    even = steps([0.0, 0.001, 1.0])
    assert even.spacing == "in equal steps"
    assert even.places[0.001] == 0.5
    assert steps([7.0]).places == {7.0: 0.5}
    assert steps([-1e308, 0.0, 1e308]).spacing == "in equal steps"


def test_a_curve_goes_through_its_points():
    points = {1.0: Spread(0.5, 0.4, 0.6, 2), 2.0: Spread(1.0, 1.0, 1.0, 1)}
    drawn = curves("c", "A & B", "x <y>", [Curve("<d>", points)], Axis(0, 1), level=0.1)
    root = ET.fromstring(drawn)
    assert root[0].text == "A & B by x <y>"
    assert root[1].text == "<d>: 0.5 at 1, 1 at 2"
    (path,) = re.findall(r'points="([^"]+)"', drawn)
    (x1, y1), (x2, y2) = (map(float, point.split(",")) for point in path.split())
    assert x1 < x2
    assert y1 > y2
    strokes = re.findall(r'class="stroke-0" x1="[^"]+" y1="([^"]+)"[^>]*y2="([^"]+)"', drawn)
    assert len(strokes) == 1  # the single seed has no range
    low, high = map(float, strokes[0])
    assert low > y1 > high


def test_whiskers_stand_on_their_side_of_zero():
    rows = [
        Whisker("better", Interval(value=0.2, low=0.1, high=0.3), [0.15]),
        Whisker("worse", Interval(value=-0.2, low=-0.3, high=-0.1)),
        Whisker("<open>", Interval(value=0.1, low=-0.1, high=0.3)),
    ]
    drawn = whiskers("w", "t", "x", rows)
    ET.fromstring(drawn)
    zero = float(re.search(r'class="zero" x1="([\d.]+)"', drawn)[1])
    dots = re.findall(r'class="dot (\w+)" cx="([\d.]+)"', drawn)
    assert [(kind, float(x) > zero) for kind, x in dots] == [
        ("better", True), ("worse", False), ("open", True),
    ]  # fmt: skip
    assert verdict(Interval(value=0.1, low=0.0, high=0.2)) == "open"


def test_the_mean_over_cases_is_drawn_with_single_cases_behind_it(tmp_path):
    board = build(standings.read(boards.ood().write(tmp_path)))
    assert [one.measure for one in board.versus] == ["DER", "AUROC"]
    assert board.versus[0].chart.count('class="dot') == 7
    assert board.versus[0].chart.count('class="single"') == 7 * 6
    assert len(board.versus[0].rows) == 7 * 7
    assert "Chance does not explain the difference." in " ".join(board.headline.sentences)


def luminance(color):
    channels = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    line = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ramp", ["h", "w"])
def test_shades_rise_evenly_in_one_direction_and_text_on_them_can_be_read(theme, ramp):
    block = STYLE.split(":root {")[theme + 1]
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block.split("}")[0]))
    light = [luminance(colors[f"{ramp}{step}"]) for step in range(10)]
    assert light in (sorted(light), sorted(light, reverse=True))
    for step, behind in enumerate(light):
        text = luminance(colors["on-pale" if step < 5 else "on-deep"])
        contrast = (max(text, behind) + 0.05) / (min(text, behind) + 0.05)
        assert contrast >= 4.5, (ramp, step, contrast)


def test_every_measure_can_be_switched_to(tmp_path):
    for measure in measures(standings.read(boards.ood().write(tmp_path))):
        assert f".heat:has(#show-{measure.key}:checked) #panel-{measure.key}" in STYLE


def test_shades_and_numbers_of_measures(tmp_path):
    der, tpr, auroc, fpr = measures(standings.read(boards.ood().write(tmp_path)))
    assert [der.shade(value) for value in (0.2, 0.5, 0.55, 0.999, 1.0, 1e308)] == [
        "h0", "h0", "h1", "h9", "h9", "h9",
    ]  # fmt: skip
    assert [fpr.shade(value) for value in (0.0, 0.01, 0.5)] == ["w0", "w2", "w9"]
    assert (der.write(0.98765), tpr.write(0.98765), fpr.write(0.0113)) == ("0.988", "98.8", "1.13")
    assert auroc.ends(0.9, 0.95) == ".90–.95"
    assert der.scale() == ("0.5 or less", "1")
    assert fpr.scale() == ("0\N{NO-BREAK SPACE}%", "5\N{NO-BREAK SPACE}% or more")
