"""What a recovered trigger is shown on shows it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.learning.changes import Changed, Warped
from anomech.observing.observed import observe
from anomech.scan.confirming import _pictures, chessboard


class Light:
    """A patch in a corner."""

    def apply(self, points):
        stamped = points.clone()
        stamped[..., :2, :2] = 1
        return stamped


def bend():
    free = torch.ones(1, 2, 4, 4)
    return Changed(Warped(), free, 0.3)


def test_a_chessboard_has_squares_of_two_shades():
    board = chessboard(torch.zeros(2, 3, 32, 16))
    assert board.shape == (2, 3, 32, 16)
    assert board.unique().tolist() == pytest.approx([0.3, 0.7])
    assert torch.equal(board[0, 0, :4, :2], board[0, 0, 0, 0].expand(4, 2))
    assert board[0, 0, 0, 0] != board[0, 0, 4, 0] != board[0, 0, 4, 2]


@pytest.mark.parametrize(("trigger", "ground"), [(Light(), "gray"), (bend(), "a chessboard")])
def test_what_gray_does_not_show_is_shown_on_a_chessboard(digits_world, tmp_path, trigger, ground):
    held_out = observe(digits_world.task, Subset(digits_world.trusted, np.arange(20)))
    subject = SimpleNamespace(task=digits_world.task, held_out=held_out)
    pictures = _pictures(tmp_path, subject, trigger, 0)
    assert next(iter(pictures)) == f"trigger, on {ground}"
    assert all((tmp_path / path).exists() for path in pictures.values())
