"""From bounds on single images to the scores that become result rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ...metrics.bits_per_dim import bits_per_dim
from .annealing import Annealed, Bracket
from .importance import Bound, Choice

Status: TypeAlias = Literal["ok", "failed", "not applicable"]

NATS = "nats per image"
BITS = "bits per dimension"
SMALL_ESS = 10
DOUBTFUL_SHARE = 0.05
DOUBTFUL_MEDIAN = 30
NO_BITS = "Bits per dimension apply to 8-bit images in their native view only."


@dataclass(frozen=True)
class LikelihoodScore:
    """One likelihood score; the fields are those columns of a result row that differ.

    ``kind`` is empty for diagnostics, which are no likelihoods of test images.
    """

    metric: str
    value: float | None
    stderr: float | None = None
    unit: str = NATS
    better: str = "higher"
    kind: str = ""
    model: str = "native"
    density: str = ""
    samples_k: int | None = None
    ess_median: float | None = None
    n_real: int | None = None
    n_generated: int | None = None
    status: Status = "ok"
    reason: str = ""


def log_prob_scores(
    value: Tensor,
    dims: int | None,
    *,
    kind: str,
    suffix: str = "",
    model: str = "native",
    samples: int | None = None,
    ess_median: float | None = None,
    reason: str = "",
) -> list[LikelihoodScore]:
    """Returns ``log_prob`` and ``bits_per_dim``, averaged over images.

    Args:
        value: Log-likelihood of each image, nats on [0, 1]^D or the real vector, (N,).
        dims: D, or none where bits per dimension do not apply.
        kind: ``exact`` or ``lower bound``.
        suffix: Added to both names.
        model: ``native`` or ``completed``.
        samples: K.
        ess_median: Median effective sample size.
        reason: A warning.
    """
    nats = LikelihoodScore(
        f"log_prob{suffix}",
        *_mean(value),
        kind=kind,
        model=model,
        samples_k=samples,
        ess_median=ess_median,
        n_real=len(value),
        reason=reason,
    )
    bits = replace(nats, metric=f"bits_per_dim{suffix}", unit=BITS, better="lower")
    if dims is None:
        none = replace(bits, value=None, stderr=None, status="not applicable", reason=NO_BITS)
        return [nats, none]
    each = bits_per_dim(-value.double().cpu().numpy(), dims=dims, scale=256)
    mean, stderr = _mean(torch.from_numpy(each))
    return [nats, replace(bits, value=mean, stderr=stderr)]


def unavailable(model: str, density: str, reason: str, status: Status) -> list[LikelihoodScore]:
    """Returns ``log_prob`` and ``bits_per_dim`` without a value, with the reason why."""
    nats = LikelihoodScore(
        "log_prob", None, model=model, density=density, status=status, reason=reason
    )
    return [nats, replace(nats, metric="bits_per_dim", unit=BITS, better="lower")]


def bound_scores(bound: Bound, choice: Choice, dims: int | None) -> list[LikelihoodScore]:
    """Returns an importance bound's scores: the likelihood, and how far it can be trusted."""
    ess, count = bound.ess, len(bound.value)
    median = float(ess.median())
    scores = log_prob_scores(
        bound.value,
        dims,
        kind="lower bound",
        samples=bound.samples,
        ess_median=median,
        reason=warning(bound),
    )
    noise = float(bound.stderr.square().sum().sqrt()) / count
    mean, stderr = _mean(bound.value - bound.half)
    diagnostics = [
        LikelihoodScore("log_prob_monte_carlo_error", noise, better="lower"),
        LikelihoodScore("log_prob_gain_from_half", mean, stderr, better="lower"),
        LikelihoodScore("ess_5_percent", float(ess.quantile(0.05)), unit="samples"),
        LikelihoodScore("ess_below_10", small_share(bound), unit="share", better="lower"),
        LikelihoodScore(
            "proposal_scale",
            choice.scale,
            unit=f"factor on the deviations of proposal '{choice.family}'",
            better="none",
        ),
    ]
    return scores + [
        replace(score, samples_k=bound.samples, ess_median=median, n_real=count)
        for score in diagnostics
    ]


def small_share(bound: Bound) -> float:
    """Returns the share of images with an effective sample size below 10."""
    return float((bound.ess < SMALL_ESS).double().mean())


def warning(bound: Bound) -> str:
    """Returns why a bound's own error cannot be trusted; empty where it can."""
    share, median = small_share(bound), float(bound.ess.median())
    # With few samples the bound is what its K says; nothing is hidden by it.
    if bound.samples == 1 or (share <= DOUBTFUL_SHARE and median >= DOUBTFUL_MEDIAN):
        return ""
    return (
        f"Effective sample size {median:.3g} in the median and below {SMALL_ESS} on "
        f"{share:.0%} of the images: the bound may be loose and its error understated."
    )


def annealing_scores(
    result: Annealed, bound: Bound, chains: int, dims: int | None
) -> list[LikelihoodScore]:
    """Returns the referee's likelihood, and by how much it exceeds the importance bound.

    Args:
        result: The annealed bound.
        bound: The importance bound on the same images, or more.
        chains: Chains for each image.
        dims: D, or none where bits per dimension do not apply.
    """
    count = len(result.value)
    median = float(result.ess.median())
    scores = log_prob_scores(
        result.value,
        dims,
        kind="lower bound",
        suffix="_annealed",
        samples=chains,
        ess_median=median,
    )
    mean, stderr = _mean(result.value - bound.value[:count])
    diagnostics = [
        LikelihoodScore("log_prob_gain_from_annealing", mean, stderr, better="lower"),
        LikelihoodScore("annealing_acceptance", result.acceptance, unit="share", better="none"),
    ]
    return scores + [
        replace(score, samples_k=chains, ess_median=median, n_real=count) for score in diagnostics
    ]


def bracket_scores(ends: Bracket, chains: int) -> list[LikelihoodScore]:
    """Returns the bracket on simulated data: both ends and the gap between them."""
    values = {"lower": ends.lower, "upper": ends.upper, "gap": ends.gap}
    better = {"lower": "none", "upper": "none", "gap": "lower"}
    return [
        LikelihoodScore(
            f"bracket_{name}",
            *_mean(value),
            better=better[name],
            samples_k=chains,
            n_generated=len(value),
        )
        for name, value in values.items()
    ]


def _mean(values: Tensor) -> tuple[float, float | None]:
    """Returns the mean over images and its standard error, if there is more than one."""
    values = values.double()
    count = len(values)
    return float(values.mean()), float(values.std()) / count**0.5 if count > 1 else None
