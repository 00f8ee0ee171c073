"""What repairs are tried on: digits with a patch, each kind of example in three parts."""

import numpy as np
import pytest

from anomech.observing.observed import observe
from anomech.repair.subject import Subject, parts_of


@pytest.fixture(scope="module")
def subject(digits_world):
    """Trusted digits and flagged ones, each in three parts."""
    world = digits_world
    trusted = observe(world.task, world.trusted)
    flagged = observe(world.task, world.planted).take(np.arange(60))
    order = np.arange(len(trusted))
    return Subject(
        task=world.task,
        trusted=parts_of(trusted, np.split(order, [250, 350])),
        flagged=parts_of(flagged, np.split(np.arange(60), [30, 40])),
        inputs=None,
        audit=None,
        reference="r",
        model="m",
        title="t",
        everything=world.trusted,
    )
