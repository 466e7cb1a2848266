"""The paragraph that opens a report: computed from the rows, claim by claim, never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..comparison.cells import normal_column
from ..comparison.columns import difference_text, with_places, without_floor
from ..comparison.labels import settings_of
from ..comparison.significance import LEVEL, SEEDS_NEEDED, Seeds, holm, mean, paired_p_value
from ..comparison.table import format_number
from ..records.results import Rows
from ..tables.precision import precision_reading
from .claims_likelihood import Method, by_method, likelihood_reading

MIXTURE = "gmm-10"
PROTOCOL = ["dataset", "backbone", "latent_dim", "features", "split"]


@dataclass(frozen=True)
class Scores:
    """Fréchet distances under one protocol: for each place and method the value of each seed."""

    where: str
    rec: Mapping[Method, Seeds]
    gaussian: Mapping[Method, Seeds]
    native: Mapping[Method, Seeds]
    mixture: Mapping[Method, Seeds]
    interp: Mapping[Method, Seeds]


def reading(rows: Rows) -> str:
    """Returns one paragraph on what the rows say, the RAE paper's claims (i) to (v) included."""
    placed = with_places(rows)
    sentences = [_extent(rows)]
    for scores in _scores(placed):
        sentences.append(_lowest(scores))
        sentences += [claim(scores) for claim in CLAIMS]
    sentences += [*likelihood_reading(placed), *precision_reading(rows)]
    return " ".join(sentence for sentence in sentences if sentence)


def _extent(rows: Rows) -> str:
    trained = without_floor(rows)
    lost = trained[trained["status"] == "diverged"]["run"].nunique()
    seeds = trained["seed"].nunique()
    return (
        f"{trained['run'].nunique()} runs of {trained['objective'].nunique()} objectives on "
        f"{', '.join(sorted(trained['dataset'].unique()))} with {seeds} "
        f"seed{'s' if seeds != 1 else ''} each. {lost or 'None'} diverged."
    )


def _scores(placed: Rows) -> list[Scores]:
    fd = without_floor(placed[placed["metric"] == "fd"])
    keys = fd[PROTOCOL].drop_duplicates().sort_values(PROTOCOL).reset_index(drop=True)
    differing = difference_text(keys)
    found = []
    for at, key in enumerate(keys.to_dict("records")):
        own = fd[(fd[PROTOCOL] == [key[name] for name in PROTOCOL]).all(axis=1)]
        normal = normal_column(own)
        normal = normal[(normal["place"] == "N") & (normal["density"] != "gaussian")]
        where = f"On {key['dataset']}" + (f" ({differing[at]})" if differing[at] else "")
        parts = (own[own["place"] == "Rec"], own[own["place"] == "gaussian"], normal)
        ends = (own[own["density"] == MIXTURE], own[own["place"] == "Interp"])
        found.append(Scores(where, *(by_method(part) for part in (*parts, *ends))))
    return found


def _lowest(scores: Scores) -> str:
    """Which objective and density have the lowest Fréchet distance of samples."""
    samples = {f"{m.name} with a fitted Gaussian": v for m, v in scores.gaussian.items()}
    samples |= {
        f"{m.name} with its own prior or second stage": v for m, v in scores.native.items()
    }
    samples |= {f"{m.name} with {MIXTURE}": v for m, v in scores.mixture.items()}
    if not samples:
        return ""
    best = min(samples, key=lambda name: mean(samples[name]))
    value = format_number(mean(samples[best]))
    return f"{scores.where} the lowest Fréchet distance (FD) of samples is {value}, of {best}."


def _mixture_helps(scores: Scores) -> str:
    simple = {**scores.native, **scores.gaussian}
    pairs = {m: (simple[m], scores.mixture[m]) for m in sorted(simple.keys() & scores.mixture)}
    if not pairs:
        return ""
    lost = [m.name for m, (before, after) in pairs.items() if mean(after) > mean(before)]
    text = (
        f"A mixture of ten Gaussians ({MIXTURE}) instead of a single one lowers the FD of "
        f"{len(pairs) - len(lost)} of {len(pairs)} methods"
        f"{f', but not of {_listed(lost)}' if lost else ''}: {_verdict('i', not lost)}."
    )
    tested = [pair for pair in pairs.values() if len(pair[0].keys() & pair[1]) >= SEEDS_NEEDED]
    if not tested:
        return f"{text} There are too few seeds for a test."
    sure = sum(p < LEVEL for p in holm([paired_p_value(*pair) for pair in tested]))
    return f"{text} Paired tests (Holm-corrected) separate {sure} of {len(tested)} pairs."


def _regularised_is_lowest(scores: Scores) -> str:
    rae = {m: mean(values) for m, values in scores.mixture.items() if _is_rae(m)}
    others = [mean(values) for m, values in scores.mixture.items() if m not in rae]
    others += [mean(values) for values in {**scores.gaussian, **scores.native}.values()]
    if not rae or not others:
        return ""
    best = min(rae, key=lambda method: rae[method])
    return (
        f"The best RAE variant with {MIXTURE} is {best.name} with {format_number(rae[best])}. "
        f"The best of all other ways to sample has {format_number(min(others))}: "
        f"{_verdict('ii', rae[best] < min(others))}."
    )


def _plain_is_close(scores: Scores) -> str:
    plain, rae = (
        [v for m, v in scores.mixture.items() if (m.objective, m.variant) == (name, "")]
        for name in ("ae", "rae")
    )
    if len(plain) != 1 or len(rae) != 1:
        return ""
    ratio = mean(plain[0]) / mean(rae[0])
    return f"With {MIXTURE} the FD of ae is {ratio:.2f} times that of rae (RAE claim iii)."


def _interpolations(scores: Scores) -> str:
    rivals = {
        m.name: mean(values)
        for m, values in scores.interp.items()
        if m.objective in ("vae", "cv-vae") and not m.variant and m.space != "logit"
    }
    raes = [mean(values) for m, values in scores.interp.items() if _is_rae(m)]
    if not rivals or not raes:
        return ""
    won = sum(value < min(rivals.values()) for value in raes)
    return (
        f"Interpolations of {won} of {len(raes)} RAE variants have a lower FD than those of "
        f"{_listed(list(rivals))}: {_verdict('iv', won == len(raes))}."
    )


def _more_samples(scores: Scores) -> str:
    found = []
    for method, seeds in scores.rec.items():
        settings = {"samples": 1, **settings_of(method.variant)}
        if method.objective == "vae" and len(settings) == 1 and method.space != "logit":
            found.append((settings["samples"], mean(seeds)))
    counts = dict(found)
    if len(counts) < 2 or len(counts) < len(found):  # Two of one count differ in something else.
        return ""
    few, many = min(counts), max(counts)
    return (
        f"The FD of VAE reconstructions is {format_number(counts[many])} with {many} Monte-Carlo "
        f"samples and {format_number(counts[few])} with {few}: "
        f"{_verdict('v', counts[many] < counts[few])}."
    )


CLAIMS = (
    _mixture_helps,
    _regularised_is_lowest,
    _plain_is_close,
    _interpolations,
    _more_samples,
)


def _verdict(claim: str, holds: bool) -> str:
    return f"RAE claim {claim} {'holds' if holds else 'fails'}"


def _is_rae(method: Method) -> bool:
    return method.objective == "rae" or method.objective.startswith("rae-")


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
