"""From scanners and files to one verdict."""

import pytest
import torch

from anomech.records import Chance, Compared, Finding, Recovered, ScannerResult
from anomech.roles.scanner import Scan
from anomech.scan import verdict
from anomech.scan.plan import from_mapping
from anomech.scan.searching import recorded

PLAN = from_mapping({"files": "model", "scanners": {"neural_cleanse": {}}})


def result(value=None, problems=(), clean_success=None, weakness=""):
    trigger = Recovered(success=0.9, held_out=40, clean_success=clean_success)
    return ScannerResult(
        name="neural_cleanse",
        asked="triggers",
        status="done",
        compared=(Compared(name="cat", statistic=5.0, group=3, trigger=trigger),),
        chance=None if value is None else Chance(value=value, of="it is so", weakness=weakness),
        problems=problems,
    )


def judged(results, files=()):
    listed = [*files, *verdict.findings_of(PLAN, results)]
    return *verdict.verdict(PLAN, ("files", "triggers"), listed, results), listed


def test_a_small_p_value_is_a_finding_that_names_the_answer():
    said, reasons, (finding,) = judged([result(0.001)])
    assert said == "finding"
    assert "neural_cleanse: class 'cat' stands out" in reasons[0]
    assert finding.fails
    assert "90% of 40 held-out" in finding.detail
    assert verdict.suspected(PLAN, [result(0.001)]) == ("cat",)


def test_a_trigger_that_clean_models_fall_for_is_natural():
    said, reasons, (finding,) = judged([result(0.001, clean_success=0.8)])
    assert "clean models there as well" in reasons[0]
    assert finding.severity == "medium"
    assert "natural feature" in finding.detail
    assert said == "no finding"


def test_a_large_p_value_is_none_and_its_weakness_is_said():
    said, reasons, listed = judged([result(0.6, weakness="it is weak")])
    assert (said, listed) == ("no finding", [])
    assert reasons[-1] == "It is weak."


def test_no_p_value_is_no_verdict_and_says_what_is_needed():
    said, reasons, (finding,) = judged([result(problems=("the model has 3 classes.",))])
    assert said == "inconclusive"
    assert any("3 classes" in each for each in reasons)
    assert any("--clean-model" in each for each in reasons)
    assert finding.code == "scanner-unsound"


def taking(statistic, **changed):
    """What a scanner of shares says, of which nothing is known on clean networks."""
    first = Compared(name="cat", statistic=statistic, group=3)
    given = {"name": "ban", "asked": "triggers", "status": "done", "shares": True}
    return ScannerResult(compared=(first,), **(given | changed))


def test_shares_of_one_whole_give_no_p_value_by_themselves():
    statistic = torch.tensor([0.9, 0, 0.01, -0.01, 0.02, -0.02, 0], dtype=torch.float64)
    names = [str(place) for place in range(7)]
    for shares in (True, False):
        scan = Scan(torch.arange(7), statistic, {}, shares=shares)
        made = recorded("ban", "triggers", scan, [], names, {})
        assert (made.chance is None) == shares
        assert made.shares == shares
        clean = [Scan(torch.arange(7), statistic / 2, {}, shares=shares)] * 3
        assert recorded("ban", "triggers", scan, clean, names, {}).chance.networks == 3


def test_a_class_that_takes_most_leaves_the_verdict_open():
    said, reasons, (finding,) = judged([result(0.6), taking(0.56)])
    assert said == "inconclusive"
    assert "'cat' takes 56% more" in reasons[0]
    assert (finding.code, finding.severity) == ("scanner-ban-uncalibrated", "medium")
    assert judged([result(0.6), taking(0.3)])[0] == "no finding"
    known = Chance(value=0.4, of="it is so", networks=20)
    assert judged([result(0.6), taking(0.56, chance=known)])[0] == "no finding"
    assert judged([result(0.001), taking(0.56)])[0] == "finding"
    accepted = [finding.model_copy(update={"accepted": "known"})]
    open_ = [result(0.6), taking(0.56)]
    assert verdict.verdict(PLAN, ("files", "triggers"), accepted, open_)[0] == "no finding"


def test_an_accepted_finding_is_said_to_be_accepted():
    listed = [each.model_copy(update={"accepted": "known"}) for each in judged([result(0.001)])[2]]
    said, reasons = verdict.verdict(PLAN, ("files", "triggers"), listed, [result(0.001)])
    assert said == "no finding"
    assert reasons == ("What neural_cleanse found is accepted by the baseline file.",)


def test_files_alone_are_said_to_be_all_that_was_looked_at():
    said, reasons = verdict.verdict(PLAN, ("files",), [], [])
    assert said == "no finding"
    assert "was not looked at" in reasons[0]
    assert "--clean-model" in verdict.verdict(PLAN, ("files", "weights"), [], [])[1][-1]


def test_too_few_clean_models_give_no_verdict():
    few = result(0.2).model_copy(update={"chance": Chance(value=0.2, of="it is so", networks=4)})
    said, reasons, _ = judged([few])
    assert said == "inconclusive"
    assert "give 19 at least" in reasons[0]
    enough = few.model_copy(update={"chance": Chance(value=0.2, of="it is so", networks=19)})
    assert judged([enough])[0] == "no finding"


def test_clean_models_that_all_scanners_saw_judge_them_together():
    def seen(value, standing, name):
        others = tuple(0.1 * place for place in range(19))
        chance = Chance(value=value, of="it is so", networks=19, standings=(standing, *others))
        return result().model_copy(update={"name": name, "chance": chance})

    two = [seen(0.05, 6.0, "first"), seen(0.9, 0.2, "second")]
    assert verdict.together(two).value == 0.05
    assert [each.name for each in verdict.finding(PLAN, two)] == ["first"]
    said, reasons, _ = judged(two)
    assert said == "finding"
    assert "first" in reasons[0]
    calm = [seen(0.9, 0.2, "first"), seen(0.9, 0.2, "second")]
    assert verdict.finding(PLAN, calm) == []


def test_a_bad_file_decides_whatever_scanners_say():
    bad = Finding(code="unsafe-pickle", severity="high", title="x.pkl", detail="d", action="a")
    assert judged([result(0.9)], [bad])[0] == "finding"
    assert judged([result()], [bad.model_copy(update={"accepted": "known"})])[0] == "inconclusive"


def test_several_scanners_share_the_level():
    plan = from_mapping({"files": "m", "scanners": {"neural_cleanse": {}}})
    two = [result(0.03), result(0.5).model_copy(update={"name": "other"})]
    assert verdict.together(two).value == pytest.approx(0.06)
    assert verdict.together([result()]) is None
    assert verdict.findings_of(plan, [result(0.03)])


def test_another_class_that_another_search_puts_first_is_said():
    one = result(0.001)
    two = one.model_copy(
        update={
            "name": "other_search",
            "compared": (one.compared[0].model_copy(update={"name": "elsewhere"}),),
        }
    )
    plan = from_mapping({"model": {"weights": "w"}})
    (found,) = [f for f in verdict.findings_of(plan, [one, two]) if one.name in f.title]
    assert "Which class it is, is open: other_search puts 'elsewhere' first (0.001)" in found.detail
    (alone,) = verdict.findings_of(plan, [one])
    assert "is open" not in alone.detail
