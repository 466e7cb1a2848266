"""The AEF paper's claims as effects: gains in likelihood and samples over the network's VAE."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from ..comparison.columns import with_places
from ..comparison.gains import (
    Arrays,
    Brackets,
    Gain,
    brackets_in,
    estimate_of,
    likelihood_gain,
    records_in,
)
from ..comparison.labels import metric_short
from ..comparison.likelihoods import one_likelihood
from ..comparison.steps import longest
from ..errors import number_of
from ..records.per_image import dims_of
from ..records.results import Rows
from ..tables.anchors import LOOSE, Anchor, anchors
from .effects import Effect
from .methods import METHOD, Method, listed, lost_by_method, nearest, seeds_apart, settings_of_both
from .protocol import training_text
from .rae import Scores, gain_in_fd

PRIOR = "prior"  # The density of a model's own samples.
LIKELIHOOD, SAMPLES = "AEF i", "AEF ii"
# The claim says "strikingly"; a tenth of a bit for each of 784 pixels is 54 nats per image.
STRIKING = 0.1
BITS = metric_short("bits_per_dim")
MEANINGS = {
    LIKELIHOOD: "autoencoding flows have a strikingly higher log-likelihood than architecturally "
    f"identical VAEs, above all at small d, which is read as a gain of at least {STRIKING} {BITS}",
    SAMPLES: "samples from the prior of autoencoding flows are better than those of "
    "architecturally identical VAEs, above all at small d",
}
PLACE = ["suite", "scale", "dataset", "split", "backbone_hash", "latent_dim"]


def aef_effects(placed: Rows, arrays: Arrays) -> Iterator[Effect]:
    """Yields the gain of each flow over the VAE of its network, as trained and in one space.

    Args:
        placed: Result rows with their place and method.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    native = placed[(placed["model"] == "native") & (placed["space"] == "logit")]
    brackets = brackets_in(native)
    for _, own in native[native["kind"] != ""].groupby(PLACE, sort=True):
        methods = [Method(*map(str, key)) for key, _ in own.groupby(METHOD, sort=True)]
        rivals = [method for method in methods if method.objective == "vae"]
        for method in methods:
            if rivals and method.objective.startswith("aef"):
                same = nearest(method, rivals)
                yield _least([_effect(own, brackets, (method, rival), arrays) for rival in same])


def aef_sample_effects(scores: Scores) -> Iterator[Effect]:
    """Yields by how much samples from each flow's prior are better than its network's VAE's."""
    size = f"d = {scores.rows['latent_dim'].iloc[0]}"
    where = scores.where if "latent_dim" in scores.where else f"{scores.where}, {size}"
    prior = [method for method, density in scores.density.items() if density == PRIOR]
    for method in sorted(prior):
        if method.objective.startswith("aef"):
            own = [m for m in prior if (m.objective, m.space) == ("vae", method.space)]
            ways = [((method, PRIOR), (rival, PRIOR)) for rival in nearest(method, own)]
            gains = [gain_in_fd(scores, SAMPLES, *pair, scores.samples) for pair in ways]
            if gains:
                yield replace(_least(gains), where=where)


def _least(gains: list[Effect]) -> Effect:
    """Returns the gain over the best of several rivals, which leaves the least."""
    least = min(gains, key=lambda gain: (len(gain.differences) == 0, gain.value))
    return replace(least, candidates=len(gains))


def anchor_paragraph(rows: Rows, arrays: Arrays) -> str:
    """Returns what the rows say of published likelihoods; empty where they estimate none.

    Args:
        rows: Result rows.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    lines = [_anchor_text(anchor) for anchor in anchors(with_places(longest(rows)), arrays)]
    return "\n".join(
        ["**Beside a published value**", "", *(f"- {x}" for x in lines)] * bool(lines)
    )


def _anchor_text(anchor: Anchor) -> str:
    first, seeds = anchor.rows.iloc[0].to_dict(), len(anchor.seeds)
    half = anchor.half_width
    spread = "" if half is None else f" ± {half:.3f}"
    text = (
        f"{anchor.place[0].upper()}{anchor.place[1:]}, {anchor.paper}, prints {anchor.value} "
        f"{BITS} for {first['method']} on {first['dataset']}, d = {first['latent_dim']}, "
        f"K = {first['samples_k']}. A like estimate, but not the same, is "
        f"{anchor.ours:.3f}{spread} here{_untrusted(anchor)}, over {number_of(seeds, 'seed')} and "
        f"{first['n_real']:,} test images. Published: {anchor.conditions}. "
        f"Ours: {anchor.our_conditions}."
    )
    if anchor.is_loose:
        return f"{text} {LOOSE[0].upper()}{LOOSE[1:]}."
    if anchor.interval is None:
        return text
    low, high = anchor.interval
    where = "inside" if anchor.inside else "outside"
    return (
        f"{text} The printed value lies {where} [{low:.3f}, {high:.3f}], where one more run "
        "would lie."
    )


def _untrusted(anchor: Anchor) -> str:
    """Returns how many of our estimates are not trusted, and why; empty where all are."""
    own = anchor.rows[anchor.rows["trusted"] == "no"].sort_values("seed")
    if not len(own):
        return ""
    sizes = listed([f"{size:.2g}" for size in own["ess_median"].dropna()])
    why = f", median effective sample size {sizes}" if sizes else ""
    return f" ({len(own)} of {number_of(len(anchor.rows), 'seed')} untrusted{why})"


def _effect(rows: Rows, brackets: Brackets, pair: tuple[Method, Method], arrays: Arrays) -> Effect:
    """Returns the gain of a method over its rival; without seeds where they share none."""
    first = rows.iloc[0].to_dict()
    lost: dict[str, str] = {}
    for method in pair:  # By the estimate that is shown: others may be rough by design.
        lost |= lost_by_method(one_likelihood(rows[rows["method"] == method.name]))
    effect = Effect(
        claim=LIKELIHOOD,
        comparison=f"{pair[0].name} instead of {pair[1].name}",
        where=f"{first['dataset']}, d = {first['latent_dim']}",
        unit=BITS,
        differences={},
        least=STRIKING,
        lost=seeds_apart(*pair, lost, rows, ()),
        training=training_text(rows, *pair),
        settings=settings_of_both(*pair),
    )
    found = _gain(rows, brackets, pair, arrays)
    if found is None:
        return effect
    gain = found.in_bits(dims_of(first))
    whole = len(gain.seeds) == rows["seed"].nunique()
    return replace(
        effect,
        differences=gain.by_seed,
        below=gain.below,
        above=gain.above,
        image_error=gain.image_error,
        images=gain.images or None,
        lost=seeds_apart(*pair, {} if whole else lost, rows, gain.seeds),
        doubt="" if gain.images else "single images were not kept",
    )


def _gain(
    rows: Rows, brackets: Brackets, pair: tuple[Method, Method], arrays: Arrays
) -> Gain | None:
    """Returns a gain in nats: of annealed likelihoods, unless more seeds share the best bounds."""
    best, tight = [], []
    for method in pair:
        own = rows[rows["method"] == method.name]
        annealed = own[own["metric"] == "log_prob_annealed"]
        best.append(estimate_of(records_in(one_likelihood(own)), arrays))
        bracket = estimate_of(records_in(annealed), arrays, brackets)
        tight.append(bracket if bracket.values and bracket.gap < math.inf else best[-1])
    # Annealing is for some images alone: without single images, it pairs with no other estimate.
    gains = [likelihood_gain(*pair) for pair in (tight, best)]
    return max(gains, key=lambda gain: len(gain.seeds) if gain else 0)
