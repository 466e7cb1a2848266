"""How a run over sequences is scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..files.storage import canonical_json
from .evaluation import Evaluator, Item, score_row
from .identity import SEARCH
from .metric_lookup import GENERATED_TEXTS, PAIRED_TEXTS, find_metric
from .search_rows import WAYS, Search
from .text_outputs import TextOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from ..records.results import Record
    from ..suites.config import Evaluation
    from .record import EvaluationRecord


@dataclass(frozen=True)
class SearchItem(Item):
    """The trials of one way of searching, on record for the settings that they were made by."""

    settings: str = ""

    @property
    def key(self) -> str:
        """The item's name in the record of an evaluation."""
        return f"{super().key}{self.settings}"


class TextEvaluator(Evaluator):
    """Computes the rows of a run over sequences; the arguments are those of `Evaluator`."""

    outputs: TextOutputs

    def __init__(
        self,
        outputs: TextOutputs,
        base: Mapping[str, Any],
        settings: Evaluation,
        record: EvaluationRecord,
        device: str,
    ) -> None:
        super().__init__(outputs, base, settings, record, device)
        given = outputs
        self.search = Search(outputs, record.path.parent, record.identity)
        self._report: Callable[[str], None] = lambda told: None
        self._providers = {
            "task": lambda item: given.form.task,
            "padding": lambda item: given.form.padding,
            "real_texts": lambda item: given.texts(given.real),
            "real_symbols": lambda item: given.real.flatten(1).numpy(),
            "reconstructed_texts": lambda item: given.texts(given.test_symbols),
            "reconstructed_symbols": lambda item: given.test_symbols.flatten(1).numpy(),
            "training_texts": lambda item: given.training_texts,
            "generated_texts": lambda item: given.texts(given.images(item.images, item.density)),
            "codes": lambda item: given.test_codes.numpy(),
            "posterior_mean": lambda item: given.posterior[0].numpy(),
            "posterior_log_sigma": lambda item: given.posterior[1].numpy(),
        }

    def scored_items(self) -> Iterator[Item]:
        """Yields the items of registered metrics."""
        for name in self.settings.metrics:
            needs = set(find_metric(name).needs)
            if needs & GENERATED_TEXTS:
                yield from (Item("sample", name, density) for density in self.outputs.densities)
            else:
                yield Item("reconstruction" if needs & PAIRED_TEXTS else "test", name)

    def items(self) -> Iterator[Item]:
        """Yields what the settings ask for, the search last: it takes the longest."""
        yield from super().items()
        if self.settings.optimisation.trials:
            settings = canonical_json(asdict(self.settings.optimisation))
            yield from (SearchItem("sample", SEARCH, way, settings=settings) for way in WAYS)

    def rows(self, report: Callable[[str], None]) -> list[Record]:
        """Returns the rows of all items, in the order of the settings."""
        self._report = report
        return super().rows(report)

    def compute(self, item: Item) -> list[Record]:
        """Returns the rows of one item."""
        if item.metric != SEARCH:
            return super().compute(item)
        settings, real = self.settings.optimisation, len(self.outputs.real)
        count = settings.trials * settings.rounds * settings.batch
        scores = self.search.scores(item.density, self._report)
        return [score_row(self.base, item, score, real, count, "") for score in scores]

    def arrays(self) -> dict[str, Tensor]:
        """Returns the best strings of the search, by name."""
        return self.search.best() if self.settings.optimisation.trials else {}

    def _feature_names(self) -> tuple[str, ...]:
        return ()

    def _count(self, item: Item) -> int:
        return self.settings.images if item.images == "sample" else len(self.outputs.real)
