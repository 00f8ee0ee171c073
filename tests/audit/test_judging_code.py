"""Chunks that were judged by other code are judged again."""

from anomech.audit.judge.code import judging_code
from anomech.audit.plan import from_mapping


def test_the_code_is_that_of_the_plans_detectors():
    one, two, both = (
        from_mapping({"lead": names[0], "detectors": {name: {} for name in names}})
        for names in (["knn"], ["energy"], ["knn", "energy"])
    )
    other = from_mapping({"lead": "knn", "detectors": {"knn": {"k": 3}}})
    assert judging_code(one) == judging_code(other)  # the plan itself tells options
    assert len({judging_code(plan) for plan in (one, two, both)}) == 3
