"""From a trained run to result rows: every metric on every set of outputs that it fits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ...metrics.extractor import Extractor, build_extractor
from ...metrics.memory import Memory, remembering
from ...metrics.prd import prd_curve
from ..interruption import check_stop
from ..records.per_image import FILE
from ..records.provenance import now
from ..records.results import Record
from ..records.rows import Row
from ..suites.config import Evaluation
from .features import content_key, extract
from .identity import has_other_weights
from .likelihood_rows import LikelihoodRows
from .metric_lookup import Score, compute_scores, find_metric
from .nearest import set_name
from .record import EvaluationRecord

if TYPE_CHECKING:
    from torch import Tensor

    from .outputs import Outputs

PAIRED = frozenset({"real", "generated"})
MEMORISED = frozenset({"train", "heldout"})
DENOISED = frozenset({"clean", "denoised"})
CURVE = "prd"
LIKELIHOOD = "log-likelihood"
NON_FINITE = "non_finite"
COPY = "the model has no bottleneck: its reconstructions are copies, which say nothing of it"
MADE = frozenset({"generated", "denoised"})
FEATURES = Memory(8)  # Of real images, shared by the runs of this process.
STATISTICS = Memory(64)
VECTORS = "vectors"  # Their own features, whatever extractors a suite names.


@dataclass(frozen=True)
class Item:
    """One metric on one set of outputs, with one extractor where it works on features."""

    images: str
    metric: str
    density: str = ""
    features: str = ""

    @property
    def key(self) -> str:
        """The item's name in the record of an evaluation."""
        return "|".join((self.images, self.density, self.metric, self.features))


class ItemOutputs(Mapping[str, Any]):
    """The outputs that one item's metric may ask for, computed when it does."""

    def __init__(self, providers: Mapping[str, Callable[[Item], Any]], item: Item) -> None:
        self._providers, self._item = providers, item

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        return self._providers[name](self._item)

    def __iter__(self) -> Iterator[str]:
        return iter(self._providers)

    def __len__(self) -> int:
        return len(self._providers)


class Evaluator:
    """Computes the rows of one run.

    Args:
        outputs: What the run produces.
        base: The columns that all rows of the run share.
        settings: Densities, metrics, extractors and counts.
        record: Rows of earlier evaluations.
        device: Where extractors run.
    """

    def __init__(
        self,
        outputs: Outputs,
        base: Mapping[str, Any],
        settings: Evaluation,
        record: EvaluationRecord,
        device: str,
    ) -> None:
        self.outputs, self.base, self.settings = outputs, dict(base), settings
        self.record, self.device = record, device
        self.likelihoods = LikelihoodRows(outputs, base, record.path.with_name(FILE))
        for item in self.items():
            own = record.items.get(item.key, [])
            lost = item.metric == LIKELIHOOD and not self.likelihoods.have_images(own)
            if lost or has_other_weights(own, settings.features):
                record.items.pop(item.key, None)
        self._features: dict[tuple[str, str, str], Tensor] = {}
        self._providers: dict[str, Callable[[Item], Any]] = {
            **{
                name: lambda item, name=name: self._features_of(name, item)  # type: ignore[misc]
                for name in (*PAIRED, *MEMORISED, *DENOISED)
                if name not in DENOISED or (outputs.noise_sigma > 0 and not outputs.are_vectors)
            },
            "images": lambda item: self._values(outputs.real),
            "reconstructions": lambda item: self._values(self._reconstructions()),
            "codes": lambda item: outputs.test_codes.numpy(),
        }

    def rows(self, report: Callable[[str], None]) -> list[Record]:
        """Returns the rows of all items, in the order of the settings."""
        rows: list[Record] = []
        for item in self.items():
            if item.key not in self.record.items:
                report(" ".join(filter(None, (item.metric, item.images, item.density))))
            rows += self.record.rows(item.key, lambda item=item: self.compute(item))  # type: ignore[misc]
        self.likelihoods.keep(rows)
        return [with_warning(row, self.outputs.warning) for row in rows]

    def items(self) -> Iterator[Item]:
        """Yields what the settings ask for, as far as this run has it."""
        yield from self.scored_items()
        if self._feature_names() and self.outputs.may_overflow:
            yield from (Item("sample", NON_FINITE, name) for name in self.outputs.densities)
        for density in self.likelihoods.densities():
            yield Item("test", LIKELIHOOD, density)

    def scored_items(self) -> Iterator[Item]:
        """Yields the items of registered metrics."""
        sets = [("reconstruction", ""), *(("sample", d) for d in self.outputs.densities)]
        sets.append(("interpolation", ""))
        if weight := self.settings.nearest_weight:
            sets.append(("interpolation", set_name(weight)))
        for name in self.settings.metrics:
            needs = set(find_metric(name).needs)
            if not needs & (PAIRED | MEMORISED | DENOISED):
                yield Item("test", name)
                continue
            for features in self._feature_names():
                for images, density in [("test", "")] if needs & DENOISED else sets:
                    if not needs & MEMORISED or images == "sample":
                        yield Item(images, name, density, features)

    def compute(self, item: Item) -> list[Record]:
        """Returns the rows of one item; a metric that refuses its input says why."""
        if item.metric == LIKELIHOOD:
            return self.likelihoods.rows(item.density)
        if item.metric == NON_FINITE:
            return [self._non_finite(item)]
        metric = find_metric(item.metric)
        try:
            with remembering(STATISTICS):
                scores = compute_scores(metric, ItemOutputs(self._providers, item))
        except ValueError as error:
            failed = Score(
                metric.name, None, None, metric.unit, metric.better, "failed", str(error)
            )
            scores = [failed]
        if self._is_copy(item):
            scores = [
                replace(score, value=None, stderr=None, status="not applicable", reason=COPY)
                for score in scores
            ]
        identity = self._identity(item.features)
        n_real = len(self.outputs.real)
        n_generated = self._count(item)
        return [
            score_row(self.base, item, score, n_real, n_generated, identity) for score in scores
        ]

    def arrays(self) -> dict[str, Tensor]:
        """Returns arrays for figures, by name.

        ``prd_<density>`` is precision and recall (2, A), where that metric is asked for, of the
        first extractor's features; a set that cannot be scored has no curve.
        """
        import torch

        curves: dict[str, Tensor] = {}
        for item in self.scored_items():
            first = self._feature_names()[:1] == (item.features,)
            if item.metric == CURVE and item.images == "sample" and first:
                with contextlib.suppress(ValueError), remembering(STATISTICS):
                    outputs = ItemOutputs(self._providers, item)
                    curve = prd_curve(real=outputs["real"], generated=outputs["generated"])
                    curves[f"prd_{item.density}"] = torch.tensor(np.array(curve)).float()
        return curves

    def _non_finite(self, item: Item) -> Record:
        """Returns the share of a density's draws that had to be drawn again, as a row."""
        score = Score(NON_FINITE, None, None, "share of draws", "lower", "failed")
        count = self.settings.images
        try:
            share = self.outputs.non_finite(item.density)
        except ValueError as error:
            score = replace(score, reason=str(error))
        else:
            # Where none or all were lost, their spread says nothing of the error.
            spread = (share * (1 - share) / count) ** 0.5 or None
            score = replace(score, value=share, stderr=spread, status="ok")
        return score_row(self.base, item, score, len(self.outputs.real), count, "")

    def _reconstructions(self) -> Tensor:
        return self.outputs.real if self.outputs.copies else self.outputs.test_reconstructions

    def _is_copy(self, item: Item) -> bool:
        """Whether an item scores reconstructions that can be nothing but their images."""
        needs = set(find_metric(item.metric).needs)
        through = item.images == "reconstruction" or bool(needs & (DENOISED | {"reconstructions"}))
        return through and self.outputs.copies

    def _count(self, item: Item) -> int:
        """Returns how many things were scored against the real ones."""
        if not item.features:
            return len(self.outputs.real)
        try:
            return len(self._pixels("generated", item))
        except ValueError:  # The images cannot be made, which is why the metric failed.
            return self.settings.images

    def _features_of(self, name: str, item: Item) -> Tensor:
        """Returns the features (N, F) of a set of images, float32, on the evaluation's device.

        Those of real images are kept for the next runs that compare with the same.
        """
        which = f"{item.images}/{item.density}" if name == "generated" else ""
        key = (name, which, item.features)
        if key not in self._features:
            self._features[key] = self._extract(self._pixels(name, item), name, item.features)
        return self._features[key]

    def _extract(self, items: Tensor, name: str, features: str) -> Tensor:
        if features == VECTORS:
            return items.flatten(1).to(self.device)
        extractor = _built(features, self.device)

        def compute() -> Tensor:
            return extract(items, extractor, progress=lambda n: check_stop())

        if name in MADE:
            return compute()
        return FEATURES.get((content_key(items, extractor), self.device), compute)

    def _pixels(self, name: str, item: Item) -> Tensor:
        if name == "denoised" or (name == "generated" and item.images == "test"):
            return self.outputs.denoised
        if name == "generated" and self._is_copy(item):
            return self.outputs.heldout
        if name == "generated":
            return self.outputs.images(item.images, item.density)
        if name in ("real", "clean"):
            return self.outputs.real
        return self.outputs.data.train if name == "train" else self.outputs.heldout

    def _values(self, items: Tensor) -> np.ndarray:
        """Returns images in [0, 1], shape (N, C, H, W), or vectors as they are, shape (N, D)."""
        if self.outputs.are_vectors:
            return items.flatten(1).numpy()
        return items.numpy() if items.is_floating_point() else items.float().numpy() / 255

    def _feature_names(self) -> tuple[str, ...]:
        return (VECTORS,) if self.outputs.are_vectors else self.settings.features

    def _identity(self, features: str) -> str:
        if features in ("", VECTORS):
            return features and f"{features}:-"
        return _built(features, self.device).identity


def with_warning(row: Record, warning: str) -> Record:
    """Returns a row with one more warning, where it has a value and there is a warning."""
    if not warning or row["status"] != "ok":
        return row
    return row | {"reason": "; ".join(filter(None, (row["reason"], warning)))}


def score_row(
    base: Mapping[str, Any],
    item: Item,
    score: Score,
    n_real: int,
    n_generated: int,
    features: str,
) -> Record:
    """Returns one score as a whole row."""
    row = Row(
        **base,
        density=item.density,
        images=item.images,
        metric=score.metric,
        value=score.value,
        stderr=score.stderr,
        unit=score.unit,
        better=score.better,
        n_real=n_real,
        n_generated=n_generated,
        features=features,
        status=score.status,
        reason=score.reason,
        date=now(),
    )
    return row.as_dict()


@cache
def _built(name: str, device: str) -> Extractor:
    return build_extractor(name, device=device)
