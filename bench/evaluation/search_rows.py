"""Rows of the search for good strings in the latent space of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...metrics.strings import string_scores
from ..errors import RunFailed
from ..files.storage import canonical_json
from ..optimisation.candidates import Candidates, Problem
from ..optimisation.merits import best_strings, merits
from ..records.code import search_code
from .metric_lookup import Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .text_outputs import TextOutputs

WAYS = ("bayesian", "random")
SHARES = frozenset({"validity", "single_validity", "training_share"})
UNITS = {"expressions": "log(1 + squared error)", "smiles": "penalised logP"}
TRAINING_SHARE = "training_share"
# Unit, that of the scores where it is empty, and which direction is better.
SURROGATE = {
    "surrogate_rmse": ("", "lower"),
    "surrogate_log_likelihood": ("nats per score", "higher"),
}
WORST = "in one of the trials no candidate scores better than the worst one"
FEW = "the valid candidates have fewer distinct scores"
Report = Callable[[str], None]


class Search:
    """The trials of one run, Bayesian and at random, and what is reported of them.

    Args:
        outputs: What the run produces.
        folder: The run's directory; finished rounds are kept in ``search`` there.
        identity: What the evaluation depends on, with digests of ``weights`` and ``data``.
    """

    def __init__(self, outputs: TextOutputs, folder: Path, identity: dict[str, Any]) -> None:
        self.outputs, self.folder = outputs, folder / "search"
        kept = {name: identity[name] for name in ("weights", "data")}
        self.identity = canonical_json({**kept, "code": search_code()})
        self.task = outputs.form.task
        # The search takes lower scores for better ones.
        self.sign = 1.0 if self.task == "expressions" else -1.0

    def candidates(self, way: str, report: Report = lambda told: None) -> tuple[Candidates, ...]:
        """Returns the candidates of each trial, from what is saved as far as it goes.

        Args:
            way: ``bayesian`` or ``random``.
            report: Is told what is going on.

        Raises:
            UserError: botorch is missing, or there are too few codes.
            RunFailed: The codes cannot be searched, or a surrogate is not finite.
            Stopped: A stop was asked for; finished rounds are saved.
        """
        # Not above: every run would wait for scipy.optimize, which this one alone needs.
        from ..optimisation.search import search, search_at_random

        find = search if way == "bayesian" else search_at_random
        settings, seed = self.outputs.settings.optimisation, self.outputs.seed
        return find(self._problem, settings, seed=seed, folder=self.folder, report=report)

    def scores(self, way: str, report: Report) -> list[Score]:
        """Returns what is reported of the trials; a search that failed says why."""
        found, failure = [], ""
        trials: tuple[Candidates, ...] = ()
        try:
            trials = self.candidates(way, report)
        except RunFailed as error:
            failure = str(error)
        for name, merit in merits(trials).items():
            unit, better, sign = self._reading(name)
            if failure:
                found.append(Score(name, None, None, unit, better, "failed", failure))
            elif merit.value is None:
                reason = WORST if name == "mean_score" else FEW
                found.append(Score(name, None, None, unit, better, "not applicable", reason))
            else:
                value, spread = sign * merit.value, merit.spread or None
                found.append(Score(name, value, spread, unit, better, "ok"))
        return found

    def _reading(self, name: str) -> tuple[str, str, float]:
        """Returns a figure's unit, which direction is better, and the sign that undoes ours."""
        if name in SHARES:
            return "share of candidates", "none" if name == TRAINING_SHARE else "higher", 1.0
        if name in SURROGATE:
            unit, better = SURROGATE[name]
            return unit or UNITS[self.task], better, 1.0
        return UNITS[self.task], "lower" if self.sign > 0 else "higher", self.sign

    def best(self) -> dict[str, Tensor]:
        """Returns ``best_<way>``, uint8 (3, T), and ``best_<way>_scores``, best first.

        A way that failed has none.
        """
        import torch

        arrays: dict[str, Tensor] = {}
        form, length = self.outputs.form, self.outputs.data.image_shape[1]
        for way in WAYS:
            try:
                strings = best_strings(self.candidates(way))
            except RunFailed:
                continue
            symbols = [form.padded(text, length) for text, _ in strings]
            arrays[f"best_{way}"] = torch.tensor(symbols, dtype=torch.uint8).view(-1, length)
            scores = [self.sign * score for _, score in strings]
            arrays[f"best_{way}_scores"] = torch.tensor(scores, dtype=torch.float64)
        return arrays

    @cached_property
    def _problem(self) -> Problem:
        import torch

        texts = self.outputs.training_texts
        scores = torch.from_numpy(self.sign * string_scores(texts, self.task)[0])
        worst = float(string_scores([""], self.task)[0][0])
        return Problem(
            codes=self.outputs.train_codes,
            scores=scores,
            draw=_Draw(self.outputs),
            judge=self._judge,
            # Molecules have no score for an invalid string: that of the worst training molecule.
            worst=worst if self.task == "expressions" else float(scores.max()),
            training=frozenset(texts),
            identity=self.identity,
        )

    def _judge(self, texts: Sequence[str]) -> tuple[Sequence[bool], Sequence[float]]:
        scores, valid = string_scores(texts, self.task)
        return valid.tolist(), (self.sign * scores).tolist()


class _Draw:
    """Decodes the same codes again and again at the cost of one pass through the decoder."""

    def __init__(self, outputs: TextOutputs) -> None:
        self.outputs = outputs
        self._codes: Tensor | None = None
        self._logits: Tensor | None = None

    def __call__(self, codes: Tensor, generator: torch.Generator) -> Sequence[str]:
        if codes is not self._codes or self._logits is None:
            self._codes, self._logits = codes, self.outputs.logits(codes)
        return self.outputs.texts(self.outputs.drawn(self._logits, generator))
