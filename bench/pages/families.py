"""The rows of the largest comparison of families, and its headline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..comparison.columns import join, with_places, without_floor
from ..comparison.labels import is_tuned
from ..comparison.samples import has_both_kinds, references_of, sampled
from ..comparison.steps import longest
from ..comparison.table import Table
from ..records.results import Rows
from ..tables.headline import headline_tables
from .equal_cost import main_scores
from .leads import Samples, better

# Objectives with nothing to tune, named here since a report does not load the models.
NOTHING_TO_TUNE = ("ae", "maf", "pretrained")
# Rows that agree in these may be of several suites, such as one that varies the steps.
SETTING = ["scale", "dataset", "split", "image_shape", "backbone_hash", "latent_dim"]


@dataclass(frozen=True)
class Study:
    """The rows of one comparison of families, as of one suite.

    Attributes:
        rows: All at default settings, with their references.
        published: Those of the longest trainings.
        tuned: Those of the longest trainings at tuned settings, and of objectives that have
            nothing to tune; none where nothing was tuned.
    """

    rows: Rows
    published: Rows
    tuned: Rows

    @cached_property
    def placed(self) -> Rows:
        """The published rows with their place and method."""
        return with_places(self.published)

    @cached_property
    def tuned_placed(self) -> Rows:
        """The tuned rows with their place and method."""
        return with_places(self.tuned)

    @cached_property
    def samples(self) -> Samples:
        """For each method of the published rows the seeds of its better way to sample."""
        return better(main_scores(self.placed))

    @cached_property
    def tuned_samples(self) -> Samples:
        """For each method of the tuned rows the seeds of its better way to sample."""
        return better(main_scores(self.tuned_placed))


def headline_of(rows: Rows) -> list[Table]:
    """Returns the headline of the suite that most runs of the largest comparison are of."""
    study = largest_study(rows)
    if study is None:
        return []
    runs = without_floor(rows[rows["run"].isin(set(study.published["run"]))])
    runs = runs.drop_duplicates("run")
    suite = min(runs["suite"].mode())
    same = (rows["suite"] == suite) & (rows["scale"] == runs["scale"].iloc[0])
    # References have no latent size; of a suite of several sizes the study's alone is shown.
    size = rows["latent_dim"].isin({0, int(runs["latent_dim"].iloc[0])})
    return list(headline_tables(rows[same & size].reset_index(drop=True)))


def study_folder(study: Study, found: Mapping[Path, Rows]) -> Path:
    """Returns which of several folders has most runs of a study."""
    runs = set(without_floor(study.published)["run"])
    return max(found, key=lambda directory: len(runs & set(found[directory]["run"])))


def largest_study(rows: Rows) -> Study | None:
    """Returns the rows of the one setting, sampled in two ways, with the most whole trainings.

    Trainings for fewer steps than others of their setting do not count; of equals the setting
    with more training steps is the larger.
    """
    studies = []
    for key, own in without_floor(rows).groupby(SETTING, sort=True):
        if own["objective"].nunique() > 1 and has_both_kinds(sampled(with_places(own))):
            references = references_of(rows)
            same = (references["scale"] == key[0]) & (references["dataset"] == key[1])
            trained = longest(own).drop_duplicates("run")["steps"]
            studies.append(((len(trained), int(trained.sum())), join(references[same], own)))
    if not studies:
        return None
    whole = max(studies, key=lambda study: study[0])[1]
    whole = whole.assign(suite=sorted(without_floor(whole)["suite"])[0])
    chosen = whole["variant"].map(is_tuned).astype(bool)
    published, tuned = (whole[own].reset_index(drop=True) for own in (~chosen, chosen))
    return Study(
        published, longest(published), _with_untunable(longest(tuned), longest(published))
    )


def _with_untunable(tuned: Rows, published: Rows) -> Rows:
    """Adds to tuned rows those of objectives that have nothing to tune."""
    if not len(tuned):
        return tuned
    return join(tuned, published[published["objective"].isin(NOTHING_TO_TUNE)])
