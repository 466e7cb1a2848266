"""From bounds on single images to the scores that become result rows."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from ...metrics.bits_per_dim import bits_per_dim
from .annealing import Annealed, Bracket
from .annealing_path import Annealing
from .importance import Bound, Choice

Status: TypeAlias = Literal["ok", "failed", "not applicable"]
Trusted: TypeAlias = Literal["yes", "no", ""]

NATS = "nats per image"
BITS = "bits per dimension"
# When an estimate is trusted. Its log of a mean weight lies too low by about 1 / (2 ESS) nats: a
# sixtieth at 30, which no comparison of models turns on. The delta method's error has itself an
# error of about 1 / sqrt(2 ESS), 13 % at 30. Below 10 both formulas fail, since then a few draws
# carry the weight and those that matter most may be missing; one image in twenty may be so.
DOUBTFUL_MEDIAN = 30
SMALL_ESS = 10
DOUBTFUL_SHARE = 0.05
# A bracket narrower than this, in nats per image, lets annealing judge other bounds.
CLOSED = 1.0
NO_BITS = "Bits per dimension apply to 8-bit images in their native view only."


@dataclass(frozen=True)
class LikelihoodScore:
    """One likelihood score; all fields but the last two are columns of a result row.

    ``kind`` is empty for diagnostics, which are no likelihoods of test images. An estimate that
    is not trusted has no standard error.

    Attributes:
        each: What the value is the mean of, nats, (N,), for log-likelihoods; for a bracket its
            lower ends.
        upper: Upper ends of a bracket, nats, (N,).
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
    trusted: Trusted = ""
    each: Tensor | None = field(default=None, repr=False, compare=False)
    upper: Tensor | None = field(default=None, repr=False, compare=False)

    def columns(self) -> dict[str, Any]:
        """Returns the score's columns of a result row."""
        kept = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in kept.items() if name not in ("each", "upper")}


def log_prob_scores(
    value: Tensor,
    dims: int | None,
    *,
    kind: str,
    suffix: str = "",
    model: str = "native",
    samples: int | None = None,
    ess_median: float | None = None,
    trusted: Trusted = "",
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
        trusted: Whether an estimate is trusted; empty for exact values.
        reason: A warning.
    """
    nats = LikelihoodScore(
        f"log_prob{suffix}",
        *_mean(value, trusted),
        kind=kind,
        model=model,
        samples_k=samples,
        ess_median=ess_median,
        n_real=len(value),
        reason=reason,
        trusted=trusted,
    )
    bits = replace(nats, metric=f"bits_per_dim{suffix}", unit=BITS, better="lower")
    nats = replace(nats, each=value)
    if dims is None:
        return [nats, _absent(bits, NO_BITS)]
    each = bits_per_dim(-value.double().cpu().numpy(), dims=dims, scale=256)
    mean, stderr = _mean(torch.from_numpy(each), trusted)
    return [nats, replace(bits, value=mean, stderr=stderr)]


def _absent(score: LikelihoodScore, reason: str) -> LikelihoodScore:
    return replace(
        score, value=None, stderr=None, trusted="", status="not applicable", reason=reason
    )


def unavailable(model: str, density: str, reason: str, status: Status) -> list[LikelihoodScore]:
    """Returns ``log_prob`` and ``bits_per_dim`` without a value, with the reason why."""
    nats = LikelihoodScore(
        "log_prob", None, model=model, density=density, status=status, reason=reason
    )
    return [nats, replace(nats, metric="bits_per_dim", unit=BITS, better="lower")]


def bound_scores(bound: Bound, choice: Choice, dims: int | None) -> list[LikelihoodScore]:
    """Returns an importance bound's scores: the likelihood, and how far it can be trusted."""
    ess, count, doubt = bound.ess, len(bound.value), warning(bound)
    median = float(ess.median())
    trusted: Trusted = "no" if doubt else "yes"
    scores = log_prob_scores(
        bound.value,
        dims,
        kind="lower bound",
        samples=bound.samples,
        ess_median=median,
        trusted=trusted,
        reason=doubt,
    )
    noise = LikelihoodScore(
        "log_prob_monte_carlo_error",
        float(bound.stderr.square().sum().sqrt()) / count,
        better="lower",
        trusted=trusted,
    )
    mean, stderr = _mean(bound.value - bound.half, trusted)
    diagnostics = [
        # The error comes from the same weights: where they are not to be trusted, nor is it.
        _absent(noise, doubt) if doubt else noise,
        LikelihoodScore(
            "log_prob_gain_from_half", mean, stderr, better="lower", trusted=trusted, reason=doubt
        ),
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


def doubt_of_bracket(ends: Bracket, path: Annealing) -> str:
    """Returns why a bracket is too wide for a referee; empty where it is not."""
    gap = float(ends.gap.mean())
    if gap < CLOSED:
        return ""
    return (
        f"The bracket on simulated data is {gap:.3g} nats wide with {path.steps} temperatures; "
        f"expected below {CLOSED:g}."
    )


def doubt_of_annealing(result: Annealed, bound: Bound, path: Annealing) -> str:
    """Returns why annealing cannot judge a bound on the same images; empty where it can.

    Both are lower bounds: whichever is higher is closer to the truth.
    """
    gain, error = _mean(result.value - bound.value[: len(result.value)])
    if gain + 2 * (error or 0.0) >= 0:
        return ""
    return (
        f"Annealing ends {-gain:.3g} nats below the importance bound with {path.steps} "
        "temperatures."
    )


def annealing_scores(
    result: Annealed, bound: Bound, path: Annealing, dims: int | None, doubt: str = ""
) -> list[LikelihoodScore]:
    """Returns the referee's likelihood, and by how much it exceeds the importance bound.

    Args:
        result: The annealed bound.
        bound: The importance bound on the same images, or more.
        path: How it was annealed.
        dims: D, or none where bits per dimension do not apply.
        doubt: Why it is not to be trusted, if it is not.
    """
    count = len(result.value)
    median = float(result.ess.median())
    trusted: Trusted = "no" if doubt else "yes"
    scores = log_prob_scores(
        result.value,
        dims,
        kind="lower bound",
        suffix="_annealed",
        samples=path.chains,
        ess_median=median,
        trusted=trusted,
        reason=doubt,
    )
    mean, stderr = _mean(result.value - bound.value[:count], trusted)
    diagnostics = [
        LikelihoodScore(
            "log_prob_gain_from_annealing",
            mean,
            stderr,
            better="lower",
            trusted=trusted,
            reason=doubt,
        ),
        LikelihoodScore("annealing_acceptance", result.acceptance, unit="share", better="none"),
        LikelihoodScore("annealing_steps", float(path.steps), unit="temperatures", better="none"),
    ]
    return scores + [
        replace(score, samples_k=path.chains, ess_median=median, n_real=count)
        for score in diagnostics
    ]


def bracket_scores(ends: Bracket, chains: int, doubt: str = "") -> list[LikelihoodScore]:
    """Returns the bracket on simulated data: both ends and the gap between them."""
    values = {"lower": ends.lower, "upper": ends.upper, "gap": ends.gap}
    better = {"lower": "none", "upper": "none", "gap": "lower"}
    trusted: Trusted = "no" if doubt else "yes"
    scores = [
        LikelihoodScore(
            f"bracket_{name}",
            *_mean(value, trusted),
            better=better[name],
            samples_k=chains,
            n_generated=len(value),
            trusted=trusted,
            reason=doubt,
        )
        for name, value in values.items()
    ]
    return [replace(scores[0], each=ends.lower, upper=ends.upper), *scores[1:]]


def _mean(values: Tensor, trusted: Trusted = "") -> tuple[float, float | None]:
    """Returns the mean over images and its standard error, if there is more than one."""
    values = values.double()
    count = len(values)
    error = float(values.std()) / count**0.5 if count > 1 and trusted != "no" else None
    return float(values.mean()), error
