"""The paragraph that opens a report: computed from the rows, claim by claim, never typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..comparison.cells import normal_column
from ..comparison.columns import FLOOR, difference_text, with_places
from ..comparison.significance import SEEDS_NEEDED, Seeds, mean, paired_p_value
from ..comparison.table import format_number
from ..tables.precision import precision_reading
from .claims_likelihood import by_method, likelihood_reading

if TYPE_CHECKING:
    import pandas as pd

MIXTURE = "gmm-10"


@dataclass(frozen=True)
class Scores:
    """Fréchet distances under one protocol: for each place and method the value of each seed."""

    where: str
    rec: Mapping[str, Seeds]
    gaussian: Mapping[str, Seeds]
    native: Mapping[str, Seeds]
    mixture: Mapping[str, Seeds]
    interp: Mapping[str, Seeds]


def reading(rows: pd.DataFrame) -> str:
    """Returns one paragraph on what the rows say, the RAE paper's claims (i) to (v) included."""
    placed = with_places(rows)
    sentences = [_extent(rows)]
    for scores in _scores(placed):
        found = [lowest(scores), *claims(scores)]
        sentences += [f"{scores.where}: {text}" for text in found[:1] if text]
        sentences += [text for text in found[1:] if text]
    sentences += likelihood_reading(placed)
    sentences += precision_reading(rows)
    return " ".join(sentence for sentence in sentences if sentence)


def lowest(scores: Scores) -> str:
    """Returns which objective and density have the lowest Fréchet distance of samples."""
    samples = {f"{name} with a fitted Gaussian": v for name, v in scores.gaussian.items()}
    samples |= {f"{name} as it samples by itself": v for name, v in scores.native.items()}
    samples |= {f"{name} with {MIXTURE}": v for name, v in scores.mixture.items()}
    if not samples:
        return ""
    best = min(samples, key=lambda name: mean(samples[name]))
    return f"the lowest FD of samples is {format_number(mean(samples[best]))}, of {best}."


def claims(scores: Scores) -> list[str]:
    """Returns what the scores say on claims (i) to (v) of the RAE paper, where they can."""
    return [
        _mixture_helps(scores),
        _regularised_is_lowest(scores),
        _plain_is_close(scores),
        _interpolations(scores),
        _more_samples(scores),
    ]


def _extent(rows: pd.DataFrame) -> str:
    trained = rows[rows["objective"] != FLOOR]
    runs = trained.drop_duplicates("run")
    lost = trained[trained["status"] == "diverged"]["run"].nunique()
    text = (
        f"{len(runs)} runs of {trained['objective'].nunique()} objectives on "
        f"{', '.join(sorted(trained['dataset'].unique()))} with {trained['seed'].nunique()} "
        f"seed{'s' if trained['seed'].nunique() != 1 else ''} each"
    )
    return f"{text}; {lost} diverged." if lost else f"{text}; none diverged."


def _scores(placed: pd.DataFrame) -> list[Scores]:
    fd = placed[(placed["metric"] == "fd") & (placed["objective"] != FLOOR)]
    names = ["dataset", "backbone", "latent_dim", "features", "split"]
    keys = fd[names].drop_duplicates().sort_values(names).reset_index(drop=True)
    differing = difference_text(keys)
    found = []
    for at, key in enumerate(keys.to_dict("records")):
        own = fd[(fd[names] == [key[name] for name in names]).all(axis=1)]
        normal = normal_column(own)
        normal = normal[(normal["place"] == "N") & (normal["density"] != "gaussian")]
        where = f"On {key['dataset']}" + (f" ({differing[at]})" if differing[at] else "")
        parts = (own[own["place"] == "Rec"], own[own["place"] == "gaussian"], normal)
        ends = (own[own["density"] == MIXTURE], own[own["place"] == "Interp"])
        found.append(Scores(where, *(by_method(part) for part in (*parts, *ends))))
    return found


def _mixture_helps(scores: Scores) -> str:
    simple = {**scores.native, **scores.gaussian}
    both = sorted(simple.keys() & scores.mixture.keys())
    if not both:
        return ""
    won = [name for name in both if mean(scores.mixture[name]) <= mean(simple[name])]
    text = f"{MIXTURE} instead of a single Gaussian lowers FD for {len(won)} of {len(both)}"
    text += f" objectives (claim i: {'holds' if len(won) == len(both) else 'fails'}"
    lost = [name for name in both if name not in won]
    text += f"; not for {', '.join(lost)})" if lost else ")"
    tested = [n for n in both if len(simple[n].keys() & scores.mixture[n].keys()) >= SEEDS_NEEDED]
    if tested:
        sure = sum(
            paired_p_value(simple[n], scores.mixture[n]) < 0.05 / len(tested) for n in tested
        )
        return f"{text}; {sure} differences are separated by a paired test (Bonferroni)."
    return f"{text}; too few seeds for a test."


def _regularised_is_lowest(scores: Scores) -> str:
    samples = {**scores.gaussian, **scores.native}
    rae = {n: v for n, v in scores.mixture.items() if _is_rae(n)}
    others = [v for n, v in scores.mixture.items() if not _is_rae(n)] + list(samples.values())
    if not rae or not others:
        return ""
    best = min(rae, key=lambda name: mean(rae[name]))
    rival = min(mean(values) for values in others)
    holds = mean(rae[best]) < rival
    return (
        f"The best RAE variant with {MIXTURE} ({best}, {format_number(mean(rae[best]))}) is "
        f"{'below' if holds else 'not below'} every other way of sampling "
        f"({format_number(rival)}; claim ii: {'holds' if holds else 'fails'})."
    )


def _plain_is_close(scores: Scores) -> str:
    plain, rae = scores.mixture.get("ae"), scores.mixture.get("rae")
    if plain is None or rae is None:
        return ""
    ratio = mean(plain) / mean(rae)
    return f"AE + {MIXTURE} reaches {ratio:.2f} times the FD of RAE + {MIXTURE} (claim iii)."


def _interpolations(scores: Scores) -> str:
    variational = [n for n in ("vae", "vae (unit)", "cv-vae") if n in scores.interp]
    raes = [n for n in scores.interp if _is_rae(n)]
    if not variational or not raes:
        return ""
    rival = min(mean(scores.interp[n]) for n in variational)
    won = sum(mean(scores.interp[n]) < rival for n in raes)
    return (
        f"Interpolations of {won} of {len(raes)} RAE variants have a lower FD than those of "
        f"{' and '.join(variational)} (claim iv: {'holds' if won == len(raes) else 'fails'})."
    )


def _more_samples(scores: Scores) -> str:
    counts = {1: scores.rec["vae"]} if "vae" in scores.rec else {}
    for name, seeds in scores.rec.items():
        if name.startswith("vae (samples=") and name.endswith(")"):
            count = name.removeprefix("vae (samples=").removesuffix(")")
            counts |= {int(count): seeds} if count.isdigit() else {}
    if len(counts) < 2:
        return ""
    few, many = min(counts), max(counts)
    holds = mean(counts[many]) < mean(counts[few])
    return (
        f"VAE reconstructions with {many} Monte-Carlo samples have FD "
        f"{format_number(mean(counts[many]))} against {format_number(mean(counts[few]))} with "
        f"{few} (claim v: {'holds' if holds else 'fails'})."
    )


def _is_rae(method: str) -> bool:
    return method == "rae" or method.startswith(("rae-", "rae "))
