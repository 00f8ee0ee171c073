"""Every part of an address counts, and nothing global is read or left behind."""

import subprocess
import sys

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from anomech.kernel.randomness import key, numpy_generator, torch_generator

ADDRESS = st.lists(st.text("abc", min_size=1, max_size=3) | st.integers(0, 30), max_size=4)


@given(st.integers(0, 2**40), ADDRESS)
def test_keys_are_63_bit_integers_that_repeat(seed, address):
    assert 0 <= key(seed, *address) < 2**63
    assert key(seed, *address) == key(seed, *address)


@given(ADDRESS, ADDRESS)
def test_another_address_is_another_key(one, two):
    if [str(part) for part in one] != [str(part) for part in two]:
        assert key(0, *one) != key(0, *two)


def test_seeds_and_order_count():
    assert len({key(0, "a", 1), key(1, "a", 1), key(0, 1, "a"), key(0, "a"), key(0)}) == 5


def test_generators_repeat_and_leave_global_state_alone():
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    one, two = (numpy_generator(3, "x").normal(size=5) for _ in range(2))
    assert np.array_equal(one, two)
    one, two = (torch.randn(5, generator=torch_generator(3, "x")) for _ in range(2))
    assert torch.equal(one, two)
    np.random.get_state()
    assert np.array_equal(states[0], np.random.get_state()[1])
    assert torch.equal(states[1], torch.get_rng_state())


def test_keys_are_the_same_in_another_process():
    code = "from anomech.kernel.randomness import key; print(key(7, 'chain', 2, 'noise'))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(found) == key(7, "chain", 2, "noise")


def test_generators_at_neighboring_addresses_are_independent():
    draws = np.stack([numpy_generator(0, "draw", i).normal(size=200) for i in range(50)])
    correlations = np.corrcoef(draws)[np.triu_indices(50, 1)]
    assert abs(correlations.mean()) < 4 / np.sqrt(len(correlations) * 200)
    assert correlations.std() * np.sqrt(200) < 1.1
