"""Random streams: what a layer draws is the stream's, and no other generator is touched."""

from __future__ import annotations

import torch
from aebench.models.streams import initialised_from, stream_seed
from torch import nn

WEIGHTS = "init/backbone"


def test_layers_draw_from_the_named_stream_and_the_next_draw_is_as_if_they_had_not():
    drawn = torch.Generator().manual_seed(stream_seed(3, WEIGHTS))
    expected = torch.empty(7, 5).uniform_(-(5**-0.5), 5**-0.5, generator=drawn)
    before = torch.get_rng_state()
    with initialised_from(3, WEIGHTS):
        layer = nn.Linear(5, 7)
    torch.testing.assert_close(layer.weight, expected, rtol=1e-6, atol=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_generators_of_gpus_are_not_seeded(monkeypatch):
    # torch seeds them later where there is no GPU yet, so it is the call that counts.
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    torch.manual_seed(0)
    assert seeded == [0]  # torch's own function does.
    with initialised_from(0, WEIGHTS):
        nn.Linear(5, 7)
    assert seeded == [0]
