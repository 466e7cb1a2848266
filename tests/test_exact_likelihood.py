"""Laws of every objective whose likelihood is exact."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from aebench.models import build
from aebench.models.building import option_defaults
from aebench.models.gaussian import standard_normal_log_prob
from aebench.models.objectives.objective import OBJECTIVES

pytestmark = pytest.mark.sensitive
EXACT = [name for name, kind in OBJECTIVES.items() if kind.likelihood == "exact"]
FLOWS = [{}, {"core_flow": "maf", "prior_flow": "iaf"}, {"core_flow": "iaf", "prior_flow": "maf"}]
OTHER = [{"parametrisation": "divide"}, {"decoder_scale": "dependent"}, {"decoder_scale": "fixed"}]


def options_of(name: str, wanted: list[dict[str, str]]) -> list[dict[str, str]]:
    known = option_defaults(OBJECTIVES.get(name))
    return [options for options in wanted if set(options) <= set(known)]


ALL = [(name, options) for name in EXACT for options in options_of(name, FLOWS + OTHER)]


def random_model(
    name: str, shape: tuple[int, int, int], latent_dim: int, space: str, **wanted: Any
) -> Any:
    """A small model with weights well off their start; options it does not have are dropped."""
    known = option_defaults(OBJECTIVES.get(name))
    wanted |= {"flow_layers": 2, "flow_hidden": 8}
    model: Any = build(
        name,
        backbone="mlp",
        image_shape=shape,
        latent_dim=latent_dim,
        space=space,
        alpha=0.05,
        backbone_options={"hidden": 8},
        **{key: value for key, value in wanted.items() if key in known},
    )
    torch.manual_seed(5)
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    x = torch.rand(32, *shape)
    model.initialise(x, torch.Generator().manual_seed(0))
    return model.double().eval()


def noise_of(model: Any, x: torch.Tensor) -> torch.Tensor:
    """Every standard normal coordinate of x, (B, D)."""
    if not hasattr(model, "transform"):
        return model.encode(x)
    code, deviations, _ = model.transform(x)
    return torch.cat([code, deviations], 1)


@pytest.mark.parametrize(("name", "options"), ALL, ids=str)
@pytest.mark.parametrize("space", ["logit", "real"])
def test_log_determinant_is_that_of_the_jacobian(name, space, options):
    model = random_model(name, (1, 2, 2), 2, space, **options)
    x = torch.rand(3, 1, 2, 2, dtype=torch.float64)
    noise = noise_of(model, x)
    for index, image in enumerate(x):
        jacobian = torch.autograd.functional.jacobian(
            lambda one: noise_of(model, one[None])[0], image
        )
        log_det = torch.linalg.slogdet(jacobian.reshape(4, 4))[1]
        truth = float(standard_normal_log_prob(noise[index].detach()) + log_det)
        assert float(model.log_prob(x)[index].detach()) == pytest.approx(truth, abs=1e-8)


@pytest.mark.parametrize(("name", "options"), ALL, ids=str)
@torch.no_grad()
def test_map_inverts(name, options):
    model = random_model(name, (2, 4, 4), 3, "logit", **options)
    x = torch.rand(4, 2, 4, 4, dtype=torch.float64)
    if hasattr(model, "transform"):
        back = model.inverse(*model.transform(x)[:2])
    else:
        back = model.inverse(model.encode(x))
    torch.testing.assert_close(back, x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("space", ["logit", "real"])
@pytest.mark.parametrize("name", EXACT)
@torch.no_grad()
def test_density_integrates_to_one_in_two_dimensions(name, space):
    model = random_model(name, (1, 1, 2), 1, space, mask=[1], core_flow="maf", prior_flow="maf")
    if space == "logit":  # fine steps near 0 and 1, and images end there: a little mass is outside
        logits = torch.linspace(-16, 16, 301, dtype=torch.float64)
        x, width = logits.sigmoid(), logits.sigmoid() * (1 - logits.sigmoid())
    else:
        x = torch.linspace(-25, 25, 501, dtype=torch.float64)
        width = torch.ones_like(x)
    step = 32 / 300 if space == "logit" else 50 / 500
    points = torch.cartesian_prod(x, x).view(-1, 1, 1, 2)
    weights = torch.cartesian_prod(width, width).prod(1) * step**2
    total = float((model.log_prob(points).exp() * weights).sum())
    if space == "real":
        assert total == pytest.approx(1, abs=1e-3)
        return
    points = torch.randn(40_000, 2, generator=torch.Generator().manual_seed(0)).double()
    if hasattr(model, "transform"):
        images = model.inverse(points[:, :1], points[:, 1:])
    else:
        images = model.inverse(points)
    inside = ((images >= 0) & (images <= 1)).flatten(1).all(1).double().mean()
    assert total == pytest.approx(float(inside), abs=5 * math.sqrt(0.25 / 40_000))


@pytest.mark.parametrize("name", EXACT)
def test_loss_is_minus_the_likelihood_and_has_no_noise(name):
    model = random_model(name, (1, 4, 4), 2, "logit")
    x = torch.rand(3, 1, 4, 4, dtype=torch.float64)
    first, second = (model.loss(x, torch.Generator().manual_seed(s)) for s in (1, 2))
    assert torch.equal(first, second)
    torch.testing.assert_close(-first, model.log_prob(x))
