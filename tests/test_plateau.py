from __future__ import annotations

import json

import pytest
from aebench.bench.training.plateau import Plateau

LOSSES = (10.0, 8.0, 7.9999, 7.9998, 7.9997, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0)


def _factors(plateau, losses):
    return [plateau.step(loss) for loss in losses]


def test_the_rate_is_halved_after_patience_validations_without_improvement():
    assert _factors(Plateau(3, 1e-3), LOSSES) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(("scale", "offset"), [(1000.0, 0.0), (1.0, -50.0), (0.015625, 7.0)])
def test_neither_scale_nor_offset_of_a_loss_changes_the_schedule(scale, offset):
    moved = [scale * loss + offset for loss in LOSSES]
    assert _factors(Plateau(3, 1e-3), moved) == _factors(Plateau(3, 1e-3), LOSSES)


def test_a_patience_of_zero_keeps_the_rate():
    assert _factors(Plateau(0, 0.0), [1.0] * 50) == [1.0] * 50


def test_a_restored_plateau_goes_on_as_the_first_would_have():
    for cut in range(len(LOSSES)):
        first, second = Plateau(3, 1e-3), Plateau(3, 1e-3)
        _factors(first, LOSSES[:cut])
        second.load_state(json.loads(json.dumps(first.state(), allow_nan=False)))
        assert _factors(second, LOSSES[cut:]) == _factors(first, LOSSES[cut:])
