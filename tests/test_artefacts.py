"""Fitted densities that are kept beside a run's rows."""

from __future__ import annotations

import torch
from aebench.bench.evaluation.artefacts import load_densities
from aebench.bench.files.checkpoint import save_checkpoint
from aebench.models.densities.gaussian import FullGaussian


def test_densities_that_were_fitted_to_codes_of_other_weights_are_not_taken(tmp_path):
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64)
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    tensors = {"gaussian/mean": mean, "gaussian/covariance": covariance}
    identity = {"data": "x", "weights": "a"}
    save_checkpoint(tmp_path / "densities.safetensors", tensors, {"identity": identity})
    for other in (identity | {"weights": "b"}, identity | {"data": "y"}, {}):
        assert load_densities(tmp_path, other) == {}
    found = load_densities(tmp_path, {"weights": "a", "data": "x"})
    assert list(found) == ["gaussian"]
    density = found["gaussian"]
    assert isinstance(density, FullGaussian)
    assert torch.equal(density.mean, mean)
    assert torch.equal(density.covariance, covariance)
