"""The drawings: well-formed, in range, and readable as words."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from anomech.report import drawing
from anomech.report.drawing import Axis
from anomech.report.run import histograms, parts
from anomech.report.run.histograms import Series


def test_steps_are_round_and_inside():
    assert drawing.round_steps(0, 1, 5) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert drawing.round_steps(6, 118, 6) == [20.0, 40.0, 60.0, 80.0, 100.0]


@pytest.mark.parametrize(
    "axis", [Axis(0, 1), Axis(-3.2, 700), Axis(1e-7, 3e-7), Axis(0.02, 900, log=True), Axis(5, 6)]
)
def test_axis_places_and_ticks(axis):
    assert axis.place(axis.low - 1) == 0
    assert axis.place(axis.high + 1) == 1
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(axis.low <= tick <= axis.high for tick in ticks)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e308, -1e308, 0.0], [1.0, 1.0, 5e6], [3.0]])
def test_axis_for_odd_values(values):
    axis = histograms.axis_for([Series("a", "inputs", values)], 2.0)
    assert np.isfinite(axis.low)
    assert axis.low < axis.high
    assert all(0 <= axis.place(value) <= 1 for value in values)


def test_long_tails_are_logarithmic():
    values = [float(value) for value in np.linspace(1, 3, 90)] + [4_000.0] * 10
    assert histograms.axis_for([Series("a", "inputs", values)], 5.0).log


def test_histogram_is_xml_with_words():
    groups = [Series("tru<sted", "trusted", [0.1, 0.2]), Series("none", "inputs", [])]
    drawn = histograms.histogram(
        "x", "A & B", "score", groups, Axis(0, 1), bins=10, threshold=0.5, threshold_label="line"
    )
    root = ET.fromstring(drawn)
    assert root[0].text == "A & B"
    assert root[1].text == "tru<sted: 2 examples, median 0.15, line at 0.5"


def test_histogram_bars_have_the_height_of_their_share():
    drawn = histograms.histogram(
        "x", "t", "s", [Series("a", "trusted", [0.05] * 3 + [0.95])], Axis(0, 1), bins=10,
        threshold=None, threshold_label="",
    )  # fmt: skip
    heights = [float(tall) for tall in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.01)


def test_a_deep_network_shows_the_parts_that_differ_most_in_order():
    names = [f"layer{index}" for index in range(60)]
    trusted = dict.fromkeys(names, 0.9)
    line = parts.Line("m", {**trusted, "layer7": 0.1, "layer50": 0.2})
    chosen = parts.choose(names, trusted, [line], 5)
    assert len(chosen) == 5
    assert {"layer7", "layer50"} <= set(chosen)
    assert chosen == sorted(chosen, key=names.index)


def test_parts_are_xml_and_stay_inside_for_values_out_of_range():
    lines = [
        parts.Line("<t>", {"a": 0.9, "b": 1e300}),
        parts.Line("f", {"a": -1e300}),
    ]
    root = ET.fromstring(parts.chart("p", ["a", "b"], lines))
    assert root[1].text is not None
    assert root[1].text.startswith("<t>: a 0.90")
    assert "e+" not in parts.chart("p", ["a"], lines).split("</desc>")[1]
    ET.fromstring(parts.small({"a": 0.5, "&": 2.0}, {"a": 0.9}))
    assert parts.small({}, {}) == ""
