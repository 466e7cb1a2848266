"""Models over the linear-Gaussian data set whose decoder is the true one; loaded with runpy."""

from __future__ import annotations

import math
from typing import Any

import torch
from aebench.bench.data.dataset import load_dataset
from aebench.bench.likelihood.model import LatentModel
from aebench.models import build
from aebench.models.spaces.real import RealSpace
from torch import Tensor, nn
from torch.distributions import Independent, Normal

DATA = load_dataset("linear-gaussian")
TRUTH = DATA.truth
# Covariance of z given x, (I + W^T W / sigma^2)^-1, for every x.
POSTERIOR_COVARIANCE = torch.linalg.inv(
    torch.eye(2, dtype=torch.float64) + TRUTH.weight.T @ TRUTH.weight / TRUTH.sigma**2
)


def posterior_mean(x: Tensor) -> Tensor:
    """Returns the mean of z given x, (B, 2)."""
    centred = x.flatten(1).double() - TRUTH.bias
    return centred @ TRUTH.weight @ POSTERIOR_COVARIANCE / TRUTH.sigma**2


def objective_at_truth(name: str, **options: Any) -> Any:
    """Returns an objective with the true decoder and noise, and an encoder a little off."""
    torch.manual_seed(0)
    model: Any = build(
        name, backbone="mlp", image_shape=(1, 1, 6), latent_dim=2, space="real", **options
    )
    backbone = model.backbone
    backbone.encoder, backbone.decoder = nn.Flatten(), nn.Identity()
    encoder, decoder = nn.Linear(6, 2), nn.Linear(2, 6)
    backbone.code = encoder
    backbone.output = nn.Sequential(decoder, nn.Unflatten(1, (1, 1, 6)))
    gain = POSTERIOR_COVARIANCE @ TRUTH.weight.T / TRUTH.sigma**2
    with torch.no_grad():
        decoder.weight.copy_(TRUTH.weight)
        decoder.bias.copy_(TRUTH.bias)
        encoder.weight.copy_(0.9 * gain)
        encoder.bias.copy_(-0.9 * gain @ TRUTH.bias + 0.1)
        for head in ("scale_head", "log_sigma_head"):
            if hasattr(model, head):
                layer = nn.Linear(6, 2)
                layer.weight.zero_()
                layer.bias.fill_(-0.1)
                setattr(model, head, layer)
        if hasattr(model, "decoder_rho"):
            model.decoder_rho.fill_(math.log(math.expm1(TRUTH.sigma - model.epsilon)))
        if hasattr(model, "beta"):
            model.beta = 2 * TRUTH.sigma**2
    model.initialise(DATA.train[:100], torch.Generator().manual_seed(0))
    return model.eval()


def linear_model(
    weight: Tensor, bias: Tensor, scale: Tensor | float, shape: tuple[int, int, int]
) -> LatentModel:
    """Returns p(z) = N(0, I), p(y|z) = N(W z + b, scale^2), whose centre is always 0."""
    dims = weight.shape[1]

    def observation(z: Tensor) -> Independent:
        mean = (z @ weight.T + bias).unflatten(1, shape)
        return Independent(Normal(mean, scale, validate_args=False), 3)

    def sample_prior(count: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, dims, generator=generator, dtype=weight.dtype)

    return LatentModel(
        space=RealSpace(shape),
        latent_dim=dims,
        observation=observation,
        log_prior=lambda z: Independent(Normal(torch.zeros_like(z), 1.0), 1).log_prob(z),
        sample_prior=sample_prior,
        centre=lambda x: x.new_zeros(len(x), dims),
    )
