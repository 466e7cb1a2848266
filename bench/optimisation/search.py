"""Trials of Bayesian optimisation in a latent space, and of random draws beside them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...models.streams import stream
from ..errors import UserError
from ..files.storage import canonical_json
from ..interruption import check_stop
from .acquisition import POINTS, Box, least_mean, propose
from .candidates import Candidates, Problem, judged, no_candidates
from .state import SavedRounds
from .surrogate import check_installed, fit_surrogate

if TYPE_CHECKING:
    from torch import Tensor

    from ..suites.config import Optimisation

Report = Callable[[str], None]
Told = dict[str, float | None]
Propose = Callable[[str, Candidates, Report], tuple["Tensor", Told]]
HELD_OUT = 10  # One code in so many judges the surrogates.
LIBRARIES = (
    *("torch", "numpy", "scipy", "botorch", "gpytorch", "linear-operator"),
    *("rdkit", "networkx"),  # Which judge molecules.
)


def search(
    problem: Problem,
    settings: Optimisation,
    *,
    seed: int,
    folder: Path,
    report: Report = lambda told: None,
) -> tuple[Candidates, ...]:
    """Looks for codes that decode to strings of low score; returns the candidates of each trial.

    In each round a sparse Gaussian process is fitted to the training codes and all candidates so
    far, a batch of codes is proposed inside the box of the training codes, decoded and judged.
    After each round the trial is saved in ``folder``: a search that was stopped goes on there and
    ends with the same candidates, bit for bit. It works in float64 on one thread.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), Section 4 (arXiv 1703.01925). A
        variational surrogate stands in for the authors' expectation propagation.

    Args:
        problem: What is searched; the order of its codes does not matter.
        settings: The counts.
        seed: The run's seed; each trial has streams of its own.
        folder: Where finished rounds are kept.
        report: Is told what is going on.

    Raises:
        UserError: botorch is missing, a training score is not finite, or codes are too few.
        RunFailed: A code, a surrogate or a score is not finite, or codes are equal.
        Stopped: A stop was asked for; finished rounds are saved.
    """
    check_installed()
    problem = problem.in_order()
    box = _box_of(problem)

    def start_trial(name: str) -> Propose:
        held_out, chosen = _divide(len(problem.codes), settings, seed, name)

        def propose_batch(name: str, found: Candidates, report: Report) -> tuple[Tensor, Told]:
            data = [_numbers(problem, chosen), (_floats(found.codes), _floats(found.scores))]
            codes, scores = (np.concatenate(parts) for parts in zip(*data, strict=True))
            report("fits a surrogate")
            surrogate = fit_surrogate(codes, scores, settings, seed, f"{name} surrogate")
            told: Told = asdict(surrogate.quality(*_numbers(problem, held_out)))
            points = box.uniform(POINTS, stream(seed, f"{name} points"))
            incumbent = least_mean(surrogate.surface, box, np.concatenate([codes, points]))

            def count(done: int) -> None:
                report(f"proposal {done + 1} of {settings.batch}")

            picks = propose(surrogate.surface, box, incumbent, settings.batch, points, count)
            return _like(picks, problem), {**told, "incumbent": incumbent}

        return propose_batch

    return _trials("bayesian", start_trial, problem, settings, seed, folder, report)


def search_at_random(
    problem: Problem,
    settings: Optimisation,
    *,
    seed: int,
    folder: Path,
    report: Report = lambda told: None,
) -> tuple[Candidates, ...]:
    """Draws as many codes from the Gaussian fitted to the training codes, and judges them alike.

    What a search finds beyond this, it owes to the search and not to the space. Arguments and
    errors are those of `search`.
    """
    from ...models.densities.gaussian import FullGaussian

    problem = problem.in_order()
    density = FullGaussian()
    _box_of(problem)
    with _one_thread():
        density.fit(problem.codes, seed)

    def start_trial(name: str) -> Propose:
        def draw_batch(name: str, found: Candidates, report: Report) -> tuple[Tensor, Told]:
            codes = density.sample(settings.batch, stream(seed, f"{name} codes"))
            return codes.to(problem.codes.dtype), {}

        return draw_batch

    return _trials("random", start_trial, problem, settings, seed, folder, report)


def _trials(
    kind: str,
    start_trial: Callable[[str], Propose],
    problem: Problem,
    settings: Optimisation,
    seed: int,
    folder: Path,
    report: Report,
) -> tuple[Candidates, ...]:
    """Carries out all trials, round by round, from what is saved."""
    identity = _identity(problem, settings, seed)
    trials = []
    for number in range(settings.trials):
        saved = SavedRounds(folder / f"{kind}-{number}.safetensors", identity)
        found = (saved.read() or no_candidates(problem.codes)).first(settings.rounds)
        propose_batch = start_trial(f"{kind} trial {number}")
        for turn in range(len(found.rounds), settings.rounds):
            check_stop()
            name = f"{kind} trial {number} round {turn}"
            place = f"{kind} trial {number + 1} of {settings.trials}, round {turn + 1}"

            def tell(text: str, place: str = place) -> None:
                report(f"{place}: {text}")

            with _one_thread():
                codes, told = propose_batch(name, found, tell)
                tell("decodes")
                draws = stream(seed, f"{name} decodes")
                batch = judged(problem, codes, settings.decodes, draws, told)
            found = found.joined(batch)
            saved.write(found)
        trials.append(found)
    return tuple(trials)


def _identity(problem: Problem, settings: Optimisation, seed: int) -> str:
    """Returns the digest of all that saved rounds depend on; there may be more of them later."""
    record = asdict(settings)
    del record["trials"], record["rounds"]
    digest = hashlib.sha256()
    for part in (problem.codes, problem.scores):
        digest.update(f"{part.dtype} {tuple(part.shape)}".encode())
        digest.update(part.contiguous().numpy().tobytes())
    for text in sorted(problem.training):
        digest.update(f"{len(text)}:{text}".encode())
    others = {
        "data": digest.hexdigest(),
        "settings": record,
        "seed": seed,
        "worst": problem.worst,
        "identity": problem.identity,
        "libraries": {name: version(name) for name in LIBRARIES if _has(name)},
    }
    return hashlib.sha256(canonical_json(others).encode()).hexdigest()[:16]


def _has(distribution: str) -> bool:
    with contextlib.suppress(ModuleNotFoundError):
        return bool(version(distribution))
    return False


def _divide(
    count: int, settings: Optimisation, seed: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns which codes judge the surrogates of a trial, and which they are fitted to."""
    import torch

    order = torch.randperm(count, generator=stream(seed, f"{name} division")).numpy()
    held_out = count - fitted_of(count)
    return order[:held_out], order[held_out:][: settings.codes or None]


def fitted_of(count: int) -> int:
    """Returns how many of so many codes are left to fit a surrogate to."""
    return count - max(1, count // HELD_OUT)


def _box_of(problem: Problem) -> Box:
    if len(problem.codes) < 2:
        raise UserError(f"There are {len(problem.codes)} latent codes; expected at least 2.")
    codes = _floats(problem.codes)
    return Box(codes.min(0), codes.max(0))


def _floats(tensor: Tensor) -> np.ndarray:
    return tensor.double().numpy()


def _numbers(problem: Problem, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _floats(problem.codes[rows]), _floats(problem.scores[rows])


def _like(picks: np.ndarray, problem: Problem) -> Tensor:
    import torch

    return torch.from_numpy(picks).to(problem.codes.dtype)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Keeps torch and BLAS to one thread, so that no count of threads decides a last digit."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    try:
        with threadpool_limits(1):
            torch.set_num_threads(1)
            yield
    finally:
        torch.set_num_threads(before)
