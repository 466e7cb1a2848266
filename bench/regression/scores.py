"""Scores over seeds: what the rows of a folder say, one entry for each score of each method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..comparison.cells import is_trusted
from ..comparison.columns import METHOD, SCORE_KEY, comparable
from ..comparison.labels import REFERENCES, settings_of, variant_text
from ..records.recipe import recipe_notes
from ..records.results import Rows

Key = tuple[str, ...]
# What a model is called; its recipe says more.
MODEL = ("dataset", "space", "objective", "variant", "latent_dim")


@dataclass
class Score:
    """One score of one method.

    Attributes:
        row: Its first row, which says what it is.
        values: The value of each seed whose row is in order and trusted.
        lost: For each other seed that has a row, why it has no such value.
        doubted: The value of each seed whose estimate is not trusted.
        note: What tells its recipe from others of the same model, if there are others.
    """

    row: Mapping[Any, Any]
    values: dict[int, float] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)
    doubted: dict[int, float] = field(default_factory=dict)
    note: str = ""

    @property
    def is_floor(self) -> bool:
        """Whether no model was trained for it."""
        return self.row["objective"] in REFERENCES

    @property
    def is_distrusted(self) -> bool:
        """Whether all that it has are estimates that are not trusted."""
        return bool(self.doubted) and not self.values

    @property
    def method(self) -> Key:
        """What makes its method that method."""
        return self.key(METHOD)

    @property
    def model(self) -> str:
        """The model's name, such as ``"digits vae d = 8"``."""
        row = self.row
        parts = [row["dataset"], row["objective"], variant_text(row["variant"])]
        parts += [f"d = {row['latent_dim']}"]
        parts += [f"in {row['space']}" if row["space"] != "unit" else ""]
        parts += [f"({self.note})" if self.note else ""]
        return " ".join(str(part) for part in parts if part)

    @property
    def score(self) -> str:
        """The score's name, such as ``"sample prior fd"``."""
        names = (self.row[name] for name in ("images", "density", "metric"))
        return " ".join(filter(None, names))

    @property
    def name(self) -> str:
        """What is scored, in words: the model and the score."""
        return f"{self.model} {self.score}"

    def key(self, names: tuple[str, ...]) -> Key:
        """Returns some of its columns as text: a key that holds nan is found in no dictionary."""
        return tuple(str(self.row[name]) for name in names)


DISTRUSTED = "an estimate that is not trusted"


def scores_of(rows: Rows) -> dict[Key, Score]:
    """Returns the scores among rows that have a better and a worse."""
    rows = rows[comparable(rows)]
    found: dict[Key, Score] = {}
    notes = _notes(rows)
    for row, trusted in zip(rows.to_dict("records"), is_trusted(rows), strict=True):
        own = Score(row)
        own.note = notes.get(own.key((*MODEL, "recipe")), "")
        own = found.setdefault(own.key(SCORE_KEY), own)
        seed = int(row["seed"])
        if row["status"] != "ok":
            own.lost[seed] = row["status"]
        elif trusted:
            own.values[seed] = float(row["value"])
        else:
            own.doubted[seed], own.lost[seed] = float(row["value"]), DISTRUSTED
    return found


def _notes(rows: Rows) -> dict[Key, str]:
    """Returns for each model that has several recipes, and for each of these, what differs."""
    found: dict[Key, str] = {}
    for _, own in rows.groupby(list(MODEL), dropna=False):
        if own["recipe"].nunique() > 1:
            texts = dict(zip(own["recipe"], own["settings"], strict=True))
            told = recipe_notes({recipe: settings_of(text) for recipe, text in texts.items()})
            model = Score(own.iloc[0].to_dict()).key(MODEL)
            found |= {(*model, recipe): note for recipe, note in told.items()}
    return found
