"""The audit says what it would have caught, of triggers that it plants itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom

from anomech.audit.auditor import Auditor
from anomech.audit.profile import read_profile
from anomech.audit.sensitivity.measuring import interval, measured
from anomech.audit.sensitivity.options import Planting
from anomech.audit.sensitivity.parts import parts_of
from anomech.audit.sensitivity.worth import worth
from anomech.data.subset import Subset
from anomech.kernel.errors import CapabilityError, ConfigError
from anomech.kernel.types import silent

PATCH = Planting(triggers=("patch",))


def auditor(name):
    return Auditor(detector=name, budget=0.05)


@pytest.fixture(scope="module")
def flagship(digits_world):
    return auditor("functional_attribution").fit(digits_world.task, digits_world.trusted)


@pytest.fixture(scope="module")
def noise(digits_world):
    """A detector to which a confident answer is normal, whatever it comes from."""
    return auditor("confidence").fit(digits_world.task, digits_world.trusted)


def test_most_uses_of_a_planted_patch_are_caught_and_the_model_is_untouched(digits_world, flagship):
    before = {name: each.clone() for name, each in digits_world.model.state_dict().items()}
    training = digits_world.model.training
    (patch,) = flagship.sensitivity(digits_world.trusted, PATCH)
    assert patch.took
    assert patch.success >= 0.9
    assert patch.uses >= 40
    assert patch.caught > 0.8
    assert patch.low <= patch.caught <= patch.high
    # Without the trigger the same examples are flagged about as often as the budget says.
    assert binom.sf(patch.false_flags * patch.uses - 1, patch.uses, 0.15) > 0.01
    assert digits_world.model.training is training
    for name, each in digits_world.model.state_dict().items():
        assert torch.equal(each, before[name]), name


def test_a_detector_that_is_blind_to_it_gets_a_finding(digits_world, noise):
    fitted = measured(noise.fitted, digits_world.trusted, PATCH, seed=0, progress=silent)
    (patch,) = fitted.sensitivity
    assert patch.took
    assert patch.caught < 0.5
    (finding,) = [each for each in fitted.noticed if each.code == "low-power"]
    assert "patch" in finding.title
    assert not finding.fails


def test_the_same_seed_gives_the_same_and_another_target_comes_of_another(digits_world, noise):
    one, same, *others = (
        noise.sensitivity(digits_world.trusted, PATCH, seed=seed)[0].model_copy(
            update={"seconds": 0.0}
        )
        for seed in (0, 0, 1, 2, 3)
    )
    assert one == same
    assert len({each.target for each in (one, *others)}) > 1


def test_no_example_is_used_twice(digits_world, noise):
    parts = parts_of(noise.fitted, digits_world.trusted, seed=0, progress=silent)
    used = np.concatenate([parts.plants, parts.fits, parts.judged])
    assert len(used) == len(set(used.tolist()))
    assert not (digits_world.trusted.labels[parts.judged] == int(parts.target)).any()


def test_a_trigger_that_does_not_take_is_not_judged_and_said(digits_world, noise):
    short = replace(PATCH, steps=3)
    fitted = measured(noise.fitted, digits_world.trusted, short, seed=0, progress=silent)
    (patch,) = fitted.sensitivity
    assert (patch.took, patch.caught, patch.uses) == (False, None, 0)
    (finding,) = [each for each in fitted.noticed if each.code == "sensitivity-unknown"]
    assert "did not take" in finding.title


def test_a_task_without_triggers_says_so_in_a_sentence(language_world):
    fitted = auditor("coupling_score").fit(language_world.task, language_world.trusted)
    with pytest.raises(CapabilityError, match="does not give triggers to plant"):
        fitted.sensitivity(language_world.trusted)
    (finding,) = [
        each
        for each in measured(
            fitted.fitted, language_world.trusted, PATCH, seed=0, progress=silent
        ).noticed
        if each.code == "sensitivity-unknown"
    ]
    assert "triggers to plant" in finding.detail


def test_auto_plants_where_it_is_little_beside_the_audit(flagship):
    fitted, how = flagship.fitted, Planting()
    assert not worth(fitted, 500, how)
    assert worth(fitted, 10**6, how)
    assert not worth(fitted, 10**6, replace(how, share=0.01))
    fewest = next(count for count in range(0, 10**6, 1000) if worth(fitted, count, PATCH))
    assert 0 < fewest < 10**6
    assert worth(fitted, fewest, PATCH)
    assert not worth(fitted, fewest, how)


def test_a_trigger_that_the_task_does_not_know_is_refused(digits_world, noise):
    with pytest.raises(ConfigError, match="did you mean 'patch'"):
        noise.sensitivity(digits_world.trusted, Planting(triggers=("pach",)))


def test_too_few_trusted_examples_leave_it_unknown(digits_world, noise):
    few = Subset(digits_world.trusted, np.arange(30))
    fitted = measured(noise.fitted, few, PATCH, seed=0, progress=silent)
    assert not fitted.sensitivity
    assert fitted.noticed[-1].code == "sensitivity-unknown"
    assert "give more" in fitted.noticed[-1].detail


def test_a_budget_that_the_copy_cannot_calibrate_is_no_low_power(digits_world):
    strict = Auditor(detector="confidence", budget=0.005).fit(
        digits_world.task, digits_world.trusted
    )
    (patch,) = strict.sensitivity(digits_world.trusted, PATCH)
    assert patch.took
    assert patch.caught is None
    assert "a budget of 0.005 needs 199" in patch.why


def test_a_profile_keeps_it(digits_world, noise, tmp_path):
    fitted = measured(noise.fitted, digits_world.trusted, PATCH, seed=0, progress=silent)
    replace(noise, fitted=fitted).save(tmp_path / "one.safetensors")
    restored, _ = read_profile(tmp_path / "one.safetensors", digits_world.task)
    assert restored.sensitivity == fitted.sensitivity
    assert restored.noticed == fitted.noticed


@pytest.mark.parametrize(("hits", "count"), [(0, 20), (7, 20), (20, 20)])
def test_the_interval_is_exact(hits, count):
    low, high = interval(hits, count)
    assert low <= hits / count <= high
    if hits:
        assert binom.sf(hits - 1, count, low) == pytest.approx(0.025, abs=1e-6)
    if hits < count:
        assert binom.cdf(hits, count, high) == pytest.approx(0.025, abs=1e-6)
