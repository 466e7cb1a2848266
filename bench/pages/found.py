"""What a comparison of families found: at most 150 plain words, every number from the rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from ..comparison.cells import FITTED
from ..comparison.columns import with_places, without_floor
from ..comparison.costs import device_word
from ..comparison.gains import NO_CLAIM, Arrays, estimate_of, likelihood_gain, records_in
from ..comparison.likelihoods import one_likelihood
from ..comparison.significance import SEEDS_NEEDED
from ..comparison.steps import named_without_steps
from ..errors import number_of
from ..records.per_image import dims_of
from ..records.results import Rows
from ..tables.cost import FACTOR
from ..tables.protocol import PUBLISHED, published_runs
from .aef import BITS, aef_effects
from .effect_words import (
    OVER,
    ahead_in_words,
    also_ahead_in_words,
    gained,
    improved,
    lead_in_words,
    method_of,
    range_text,
    seeds_behind,
    surely,
    surely_worse,
)
from .effects import Effect, judge
from .equal_cost import at_equal_cost, main_scores
from .families import Study, largest_study
from .leads import (
    better,
    lead,
    tuned_lead,
    tuning_gains,
    tuning_notes,
    worse_rival,
)
from .methods import listed, paired, ran_on
from .rae import Scores, mixture_effects

MOST_WORDS = 150
HOW_TO_READ = (
    "What a model leads or trails its closest rival by, and what it gains, are mean paired "
    "differences over seeds, in FD of samples where no other unit is named. A gain is above 0 for "
    "the better. That of a mixture is over the model's prior or, where it has none and for "
    f"{FITTED}, over one fitted Gaussian. [a, b] is a 95 % interval; that of a lead allows for "
    "the choice among methods, that of a likelihood for the test images. Surely: by a paired "
    f"t-test from {SEEDS_NEEDED} seeds on, Holm-corrected over the models; a mixture that beats "
    "its own model's reconstructions does not count. Undecided below x: these seeds would show a "
    "lead of x in four of five cases. At least, at most: one side is a lower bound on the "
    "likelihood. At equal seconds: every model is taken at the seconds that the best RAE's "
    "longest training took. A model trained for several counts of steps is read off a straight "
    "line between two of its trainings, over the logarithm of the seconds. One whose longest "
    "training took fewer seconds is taken as it is. One whose shortest took more is taken as it "
    f"is if it took at most {100 * (FACTOR - 1):.0f} % more, else it is left out. Tuned models "
    "are those trained again with the options of the best of their trials; the others were not "
    "trained again. Untunable ones have nothing to tune."
)


def found_paragraph(rows: Rows, arrays: Arrays) -> str:
    """Returns what was found under its title, with a line on how to read it.

    Empty where the rows compare no families or nothing was found. The title names the data set
    and the size of codes: rows may hold several.

    Args:
        rows: Result rows, of one suite or of several.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    study = largest_study(rows)
    if study is None:
        return ""
    flows = _flows(study, arrays)
    bounds, lead_moves = [*_bounds(flows)], [*_lead_moves(study)]
    sentences = [*_edges(study), *_tuning(study), *_mixtures(study), *_gains(flows)]
    sentences += [*bounds, *_moves(study, arrays), *lead_moves]
    text = _fitting(sentences, {*bounds, *lead_moves}, study)
    if not text:
        return ""
    first = without_floor(study.published).iloc[0]
    devices = ran_on(study.placed), ran_on(study.tuned_placed)
    notes = tuning_notes(study.samples, study.tuned_samples, *devices)
    title = f"What we found on {first['dataset']}, d = {first['latent_dim']}"
    return f"**{title}.** {text}\n\n*{HOW_TO_READ}{notes}*"


def short_text(rows: Rows, arrays: Arrays) -> str:
    """Returns what the rows found in a few sentences for a reader who is new to the field.

    Empty where the rows compare no families. The lead is there from two seeds on, that among tuned
    models where there are any, and how scores move with steps where words are left.

    Args:
        rows: Result rows, of one suite or of several.
        arrays: Log-likelihoods of single images, as `read_per_image` gives them.
    """
    study = largest_study(rows)
    if study is None:
        return ""
    sentences = []
    if found := _by_mixture(main_scores(study.placed)):
        sentences += [
            f"For {surely(found)} at default settings, a mixture of ten Gaussians fitted to the "
            "codes surely gives better samples than the prior or one "
            f"Gaussian{surely_worse(found, 'surely worse ones for')}.",
            f"The gain in Fréchet distance (FD, lower is better) is {range_text(found)}: "
            f"95 % intervals, {seeds_behind(found)}, Holm-corrected paired t-tests.",
        ]
    likewise = ""
    if edge := lead(study.samples):
        sentences.append(lead_in_words(edge, "The best regularised autoencoder"))
        likewise = "likewise "
    spare = []
    both = study.samples, study.tuned_samples
    if edge := tuned_lead(*both):
        worse = ", which tuning worsened on average," if worse_rival(*both) else ""
        spare.append(
            "Among models tuned and trained again or untunable, "
            f"{edge.comparison.partition(OVER)[0]} "
            f"{ahead_in_words(edge, len(edge.differences), likewise, worse)}."
        )
    moves = [*_moves(study, arrays)]
    sentences += [*spare, *_gains(_flows(study, arrays)), *moves]
    return _fitting(sentences, {*spare, *moves}, study)


def _flows(study: Study, arrays: Arrays) -> list[Effect]:
    """Returns the gain of each flow over its network's VAE, where two seeds or more know it."""
    return [e for e in aef_effects(study.placed, arrays) if e.interval]


def _fitting(sentences: Sequence[str], spare: Collection[str], study: Study) -> str:
    """Returns as many sentences as the words allow, and what is still open; empty if none do.

    Args:
        sentences: In the order of the text.
        spare: Those that say least, which are the first to go where words are short.
        study: Whose models are named.
    """
    still_open = _still_open(study.published)
    left = MOST_WORDS - len(still_open.split())
    kept: dict[str, str] = {}
    names = _short_names(study.placed)
    for sentence in sorted(sentences, key=lambda sentence: sentence in spare):
        text = _shortened(sentence, names)
        if len(text.split()) <= left:
            kept[sentence] = text
            left -= len(text.split())
    shown = [kept[sentence] for sentence in sentences if sentence in kept]
    return " ".join([*shown, still_open]).strip() if shown else ""


def _short_names(placed: Rows) -> dict[str, str]:
    """Returns, by its name, the objective of each model whose objective has but one."""
    models = without_floor(placed).groupby("objective", sort=True)["method"].unique()
    return {names[0]: str(objective) for objective, names in models.items() if len(names) == 1}


def _shortened(text: str, names: Mapping[str, str]) -> str:
    """Returns text without the space of models whose objective has but one."""
    for name, objective in names.items():
        # Not within another name: cv-vae (unit) ends like vae (unit).
        text = re.sub(rf"(?<![\w-]){re.escape(name)}", objective, text)
    return text


def _edges(study: Study) -> Iterator[str]:
    """By how much the RAE's samples are ahead: as published, and at equal cost."""
    edge = lead(study.samples)
    if edge is None:
        return
    seeds = len(edge.differences)
    best = edge.comparison.partition(OVER)[0]
    text = (
        f"Over {number_of(seeds, 'seed')}, the best RAE, {best}, "
        f"{ahead_in_words(edge, seeds, '95 % interval ')}"
    )
    if equal := lead(better(at_equal_cost(study.rows, best))):
        text += f"; at equal {device_word(study.published)} seconds "
        text += also_ahead_in_words(equal, edge, seeds)
    yield f"{text}."


def _tuning(study: Study) -> Iterator[str]:
    """What tuning gives each model, and by how much the RAE's samples are ahead with it."""
    published, tuned = study.samples, study.tuned_samples
    if gains := tuning_gains(published, tuned):
        yield f"Tuning surely improves {improved(gains)}."
    if edge := tuned_lead(published, tuned):
        yield (
            f"Among {len(tuned)} tuned or untunable models, {edge.comparison.partition(OVER)[0]} "
            f"{ahead_in_words(edge, len(edge.differences))}."
        )


def _mixtures(study: Study) -> Iterator[str]:
    """What the mixture gives each model."""
    if found := _by_mixture(main_scores(study.placed)):
        yield f"A mixture of ten Gaussians surely improves {improved(found)}."


def _by_mixture(scores: Scores | None) -> list[Effect]:
    return [e for e in mixture_effects(scores) if e.interval] if scores else []


def _gains(flows: Sequence[Effect]) -> Iterator[str]:
    """The flows against the VAE, where a difference of their likelihoods says something."""
    known = [effect for effect in flows if effect.direction != NO_CLAIM]
    if known:
        # Whether there is a gain at all is asked here; the paper's claim asks for a large one.
        judged = judge([replace(effect, least=0.0) for effect in known])
        texts = listed([f"{_plain(finding.effect)} {gained(finding)}" for finding in judged])
        yield f"In {BITS} against the VAE, {texts}."


def _bounds(flows: Sequence[Effect]) -> Iterator[str]:
    """The flows whose likelihood has, like the VAE's, a bound alone."""
    names = [_plain(effect) for effect in flows if effect.direction == NO_CLAIM]
    if names:
        have = "has only a bound" if len(names) == 1 else "have only bounds"
        yield f"{listed(names)} {have}."


def _moves(study: Study, arrays: Arrays) -> Iterator[str]:
    """How scores move from the fewest steps to the most."""
    found = _ends_of_steps(study)
    if found is None:
        return
    steps, ends = found
    before, after = (better(main_scores(own)) for own in ends)
    moved = [
        Effect("", f"{method.name}:", "", "FD", paired(before.get(method, {}), values))
        for method, values in after.items()
    ]
    moved = [effect for effect in moved if effect.interval]
    if not moved:
        return
    text = (
        f"{steps}, {number_of(len(moved), 'model')} ({seeds_behind(moved)}) gain "
        f"{range_text(moved)}"
    )
    if gains := [effect for effect in _exact_moves(ends, arrays) if effect.interval]:
        text += f", in {BITS} {range_text(gains)}"
    yield f"{text}."


def _exact_moves(ends: Sequence[Rows], arrays: Arrays) -> Iterator[Effect]:
    """The gains in likelihood of models whose is exact; of two bounds the difference says nothing.

    Without single images nothing is known of the error over them.
    """
    own = [one_likelihood(rows[rows["space"] == "logit"]) for rows in ends]
    exact = [dict([*rows[rows["kind"] == "exact"].groupby("method")]) for rows in own]
    for name in sorted(exact[0].keys() & exact[1].keys()):
        after, before = (estimate_of(records_in(end[name]), arrays) for end in exact[::-1])
        gain = likelihood_gain(after, before)
        if gain and gain.images:
            gain = gain.in_bits(dims_of(exact[0][name].iloc[0]))
            yield Effect(
                *("", f"{name}:", "", BITS, gain.by_seed),
                image_error=gain.image_error,
                images=gain.images,
            )


def _lead_moves(study: Study) -> Iterator[str]:
    """How the RAE's lead moves, among the models that are trained for the fewest steps, too."""
    found = _ends_of_steps(study)
    leads = [lead(better(main_scores(own))) for own in found[1]] if found else []
    before, after = leads or (None, None)
    if before and after:
        yield (
            f"Of such models, {before.comparison.partition(OVER)[0]} {ahead_in_words(before, 0)} "
            f"after the fewest steps, and {also_ahead_in_words(after, before, 0)} after the most."
        )


def _ends_of_steps(study: Study) -> tuple[str, list[Rows]] | None:
    """Returns the fewest and the most steps in words, and the rows of models that have both."""
    named = without_floor(named_without_steps(with_places(study.rows)))
    counts = named.groupby("method")["asked"].transform("nunique")
    several = named[counts > 1]
    if not len(several):
        return None
    few, many = int(several["asked"].min()), int(several["asked"].max())
    ends = [several[several["asked"] == count] for count in (few, many)]
    both = set(ends[0]["method"]) & set(ends[1]["method"])
    return f"From {few:,} to {many:,} steps", [own[own["method"].isin(both)] for own in ends]


def _still_open(rows: Rows) -> str:
    trained = without_floor(rows)
    whole = trained.loc[trained["scale"] == PUBLISHED, "suite"].unique()
    # A suite with a budget of its own is at no published scale, whatever its scale is called.
    lacking = [] if any(map(published_runs, whole)) else ["the published scale"]
    if trained["image_shape"].str.startswith("1x").all():
        lacking.append("colour")
    if not trained["features"].str.startswith("inception").any():
        lacking.append("Inception features")
    return f"Still open: {listed(lacking)}." if lacking else ""


def _plain(effect: Effect) -> str:
    """Returns a flow's name without its space, which the VAE shares."""
    return method_of(effect).removesuffix(" (logit)")
