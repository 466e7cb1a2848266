"""What the rows say on strings, in sentences: beside print, beside random draws, as likelihood."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..comparison.likelihoods import bound_sign, one_likelihood
from ..comparison.numbers import format_number, with_sign
from ..comparison.significance import Seeds, mean
from ..comparison.steps import asked_steps
from ..comparison.strings import (
    DRAWS,
    EXPRESSIONS,
    RELEASED,
    SEARCH,
    SPACES,
    WRITTEN,
    by_task,
    candidates_of,
    is_text,
    task_of,
)
from ..records.results import Rows
from ..tables.printed_strings import printed
from .effects import Finding
from .grae import METRICS, SCORE, VALID
from .methods import by_method, counts_of_seeds, listed

STRINGS = 100_000  # Expressions that there are.
# Nats of the test expressions where each production has its share of the training's at its step.
WITHOUT_CODE = 11.701
NO_GAIN = " So few seeds could show no gain here: below a share of 1 there is too little room."
SAID = {VALID: "the share of valid candidates", SCORE: "average score"}
GVAE, PLAIN = "GVAE", "GRAE rae"


def string_reading(placed: Rows, judged: Sequence[Finding]) -> list[str]:
    """Returns sentences on strings, none without such rows.

    Args:
        placed: Result rows with their place and method.
        judged: What the rows decide of the papers' claims.
    """
    texts = by_task(placed[is_text(placed)])
    candidates = candidates_of(texts)
    candidates = candidates[candidates["space"] == RELEASED]
    sentences = []
    for dataset, whole in candidates.groupby("dataset", sort=True):
        asked = asked_steps(whole)
        own = whole[asked == asked.max()]  # Models of fewer steps are in the tables alone.
        those = f", of the models of {asked.max():,} steps," if len(own) < len(whole) else ""
        task, where = task_of(str(dataset)), f"{dataset}{those}"
        of_set = [f for f in judged if f.effect.claim in METRICS and f.effect.where == dataset]
        sentences += [_beside_print(task, where, own), *_decided(of_set), _tie(of_set)]
        sentences += [_random(where, own), _shares(where, own)]
    return [text for text in (*sentences, _likelihood(texts)) if text]


def _beside_print(task: str, where: str, rows: Rows) -> str:
    """Says what is printed for each model, and what the searches of ours found."""
    shown = [
        f"{one.scores['validity'][0]:.2f} and {one.scores['mean_score'][0]:.2f} for the {model}"
        for model, one in printed(task).items()
    ]
    searched = rows[rows["density"] == SEARCH]
    ours = {metric: _means(searched, metric) for metric in METRICS.values()}
    found = [
        f"{_text(ours['validity'], name)} and {_text(ours['mean_score'], name)} for {name}"
        for name in ours["validity"].keys() | ours["mean_score"].keys()
    ]
    if not found:
        return ""
    return (
        f"Of {task} the RAE paper prints these shares of valid candidates and average scores: "
        f"{listed(shown)}. On {where} ours are {listed(sorted(found))}."
    )


def _decided(judged: Sequence[Finding]) -> Iterator[str]:
    """Says what each difference to the GVAE is, and what could have been seen."""
    for finding in judged:
        effect = finding.effect
        if not effect.comparison.endswith(f"instead of {GVAE}") or not effect.differences:
            continue
        name = effect.comparison.partition(" instead of ")[0]
        interval = effect.interval
        within = "" if interval is None else f" [{', '.join(map(with_sign, interval))}]"
        text = (
            f"The gain of {name} over the {GVAE} in {SAID[effect.claim]} is "
            f"{with_sign(effect.value)}{within}, positive for the better: "
        )
        reason = f" ({finding.reason})" if finding.reason else ""
        text += f"{_word(finding)}{reason}."
        if finding.verdict == "undecided" and finding.detectable is not None:
            found = f" So many seeds find a difference of {format_number(finding.detectable)} in "
            text += f"{found}four of five cases." if finding.has_room else NO_GAIN
        yield text


def _word(finding: Finding) -> str:
    words = {"supported": "as claimed", "contradicted": "against the claim"}
    return words.get(finding.verdict, finding.verdict)


def _tie(judged: Sequence[Finding]) -> str:
    """Says that one difference should be none, where it was measured."""
    if any(f.effect.comparison == f"{PLAIN} instead of {GVAE}" for f in judged):
        return (
            f"{PLAIN}, which has no regulariser of the decoder, is trained as the released "
            f"{GVAE} is, but for noise of a hundredth of the deviation that its KL term assumes: "
            "a tie of the two is expected."
        )
    return ""


def _random(where: str, rows: Rows) -> str:
    """Says what as many random draws find, so that the search is not mistaken for the space."""
    of = {kind: rows[rows["density"] == kind] for kind in (SEARCH, DRAWS)}
    best = {kind: _means(own, "best_1") for kind, own in of.items()}
    shared = [name for name in best[SEARCH] if name in best[DRAWS]]
    if not shared:
        return ""
    seeds = {len(values) for own in of.values() for values in _seeds(own, "best_1").values()}
    over = "" if seeds == {1} else f" as means over {counts_of_seeds(seeds)}"
    pairs = [
        f"{name} {_text(best[SEARCH], name)} and {_text(best[DRAWS], name)}" for name in shared
    ]
    return (
        f"On {where} the best scores of the search, and of as many random draws from a Gaussian "
        f"fitted to the codes, are{over} {listed(pairs)}."
    )


def _shares(where: str, rows: Rows) -> str:
    """Says how many candidates are training strings, and valid at a single decoding."""
    searched = rows[rows["density"] == SEARCH]
    found = _range(_means(searched, "training_share"))
    if not found:
        return ""
    shares = [f"{found} are training strings"]
    many, once = (_range(_means(searched, name)) for name in ("validity", "single_validity"))
    if many and once:
        shares += [f"{many} are valid", f"{once} are valid at a single decoding"]
    return f"Of the candidates of the search on {where.rstrip(',')}, {listed(shares)}."


def _likelihood(texts: Rows) -> str:
    """Says why likelihood ranks no model of expressions, beside what the proper models reach."""
    proper = texts[(texts["space"] == SPACES) & (texts[WRITTEN] == EXPRESSIONS)]
    nats = one_likelihood(proper, "log_prob")
    if not len(nats):
        return ""
    floor = math.log(STRINGS)
    active = _means(proper, "active_units")
    found = []
    for name, value in _means(nats, "log_prob").items():
        first = nats[nats["method"] == name].iloc[0].to_dict()
        units = f" with {active[name]:g} active units" if name in active else ""
        found.append(f"{name} {bound_sign(first)}{value:.3f}{units}")
    known = (
        f"Log-likelihoods in nats are {listed(found)}."
        if found
        else "No estimate of ours is to be trusted."
    )
    return (
        f"A decoder of productions without a code reaches {WITHOUT_CODE} nats on held-out "
        f"expressions, and the floor is log {STRINGS:,} = {floor:.3f}, so that likelihood cannot "
        "rank models there: "
        f"{WITHOUT_CODE - floor:.3f} nats are all that a code could gain. {known}"
    )


def _means(rows: Rows, metric: str) -> dict[str, float]:
    return {name: mean(values) for name, values in _seeds(rows, metric).items()}


def _seeds(rows: Rows, metric: str) -> dict[str, Seeds]:
    scored = by_method(rows[rows["metric"] == metric])
    return {method.name: values for method, values in scored.items()}


def _text(means: dict[str, float], name: str) -> str:
    return format_number(means[name]) if name in means else "none"


def _range(means: dict[str, float]) -> str:
    """Returns shares as ``60 to 70 %``; empty where there are none."""
    if not means:
        return ""
    low, high = (round(100 * end) for end in (min(means.values()), max(means.values())))
    return f"{low} %" if low == high else f"{low} to {high} %"
