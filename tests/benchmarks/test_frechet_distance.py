"""The Fréchet distance of two Gaussians at 2048 dimensions against other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from aebench.metrics import frechet_distance_from_moments

DIMS = 2048


@pytest.fixture(scope="module")
def gaussians():
    generator = np.random.default_rng(0)
    scales = np.geomspace(1.0, 1e-3, DIMS)
    pairs = []
    for shift in (0.0, 0.1):
        values = generator.normal(size=(2 * DIMS, DIMS)) * scales + shift
        pairs.append((values.mean(0), np.cov(values, rowvar=False)))
    return pairs


@pytest.fixture(params=["pytorch-fid", "torch-fidelity"])
def peer(request):
    if request.param == "pytorch-fid":
        module = pytest.importorskip("pytorch_fid.fid_score")
        return request.param, lambda a, b: float(module.calculate_frechet_distance(*a, *b))
    module = pytest.importorskip("torch_fidelity.metric_fid")

    def distance(a, b):
        statistics = [dict(zip(("mu", "sigma"), pair, strict=True)) for pair in (a, b)]
        return module.fid_statistics_to_metric(*statistics, False)[module.KEY_METRIC_FID]

    return request.param, distance


def test_frechet_distance(gaussians, peer, versus):
    (mean_real, cov_real), (mean_generated, cov_generated) = gaussians
    name, distance = peer

    def ours():
        return frechet_distance_from_moments(
            mean_real=mean_real,
            cov_real=cov_real,
            mean_generated=mean_generated,
            cov_generated=cov_generated,
        )

    value, expected = versus(
        ours,
        lambda: distance(*gaussians),
        peer=name,
        work=f"distance of two Gaussians, {DIMS} dimensions",
        rounds=2,
        warm=False,
    )
    assert value == pytest.approx(expected, rel=1e-6)
