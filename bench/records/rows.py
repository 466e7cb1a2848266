"""The result row: one score of one run, the same columns in JSON, CSV and the data frame."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

SCHEMA = 2
TUNED = "tuned"  # In the variant of rows whose options `aebench tune` chose.
Status = Literal["ok", "diverged", "failed", "not applicable"]
Trusted = Literal["yes", "no", ""]


class BadRow(ValueError):
    """A record that is not a whole result row; the message says what is wrong with it."""


class OtherSchema(BadRow):
    """A record of another version.

    Attributes:
        newer: Whether a newer version wrote it.
    """

    def __init__(self, schema: object) -> None:
        text = str(schema)
        self.newer = text.isdecimal() and len(text) < 9 and int(text) > SCHEMA
        helps = " (`pip install --upgrade aebench` reads it)" if self.newer else ""
        super().__init__(f"schema {text:.20}; this version reads schema {SCHEMA}{helps}")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One score of one run; the field order is the column order.

    Attributes:
        schema: Version of this record's form.
        suite: Name of the suite that the run belongs to.
        scale: The suite's size preset: ``smoke``, ``small`` or ``full``.
        run: Digest of the training settings; it names the run's directory.
        recipe: Digest of every setting of training and evaluation but the seed: rows of one
            recipe are one method.
        dataset: Name of the data set, view included (``mnist-32`` is padded).
        split: Name of the train/validation/test split.
        image_shape: ``CxHxW``.
        space: ``unit``, ``logit`` or ``real``.
        backbone: Name of the backbone with its options off default, canonical JSON.
        backbone_hash: Structural hash of the backbone, taken before any objective touches it.
        objective: Name of the objective.
        variant: Hyperparameters off their default, canonical JSON; empty when there are none.
        latent_dim: Size of the latent code.
        seed: The run's one seed.
        selection: Which weights were scored: ``best validation loss``, ``last step``, ...
        density: Ex-post density that the codes were drawn from; empty where none is involved.
        images: Which images were scored: reconstruction, sample, interpolation or test.
        metric: Name of the score.
        value: The score; ``None`` unless the status is ``ok``.
        stderr: Its standard error, in the same unit.
        unit: The score's unit in words.
        better: ``higher``, ``lower``, ``closer`` or ``none``.
        kind: For likelihoods ``exact`` or ``lower bound``; else empty.
        model: For likelihoods ``native`` or ``completed``; else empty.
        samples_k: Importance samples for each image.
        ess_median: Median effective sample size over images.
        trusted: For estimates ``yes`` or ``no``, else empty. One that is not trusted has a value
            and no standard error, and enters no difference, mark, rank or claim.
        n_real: Count of real images.
        n_generated: Count of generated images.
        features: Identity of the feature extractor, digest of its weights included; empty
            where the score needs none.
        status: ``ok``, ``diverged``, ``failed`` or ``not applicable``.
        reason: Why the status is not ``ok``, or a warning about the value.
        parameters_backbone: Trainable parameters of the backbone.
        parameters_outside: Trainable parameters that the objective adds.
        steps: Optimiser steps taken.
        train_seconds: Wall-clock seconds of training.
        compute_seconds: CPU seconds of the process's training on a CPU, device seconds on a GPU;
            ``None`` in rows that were made before it was measured.
        device: Name of the device trained on.
        commit: Git commit of the code, with ``+`` when the tree had changes.
        versions: Versions of Python and the main libraries, canonical JSON.
        date: UTC date and time at which the row was made, ISO 8601.
    """

    schema: int
    suite: str
    scale: str
    run: str
    recipe: str
    dataset: str
    split: str
    image_shape: str
    space: str
    backbone: str
    backbone_hash: str
    objective: str
    variant: str
    latent_dim: int
    seed: int
    selection: str
    density: str = ""
    images: str
    metric: str
    value: float | None
    stderr: float | None = None
    unit: str
    better: str
    kind: str = ""
    model: str = ""
    samples_k: int | None = None
    ess_median: float | None = None
    trusted: Trusted = ""
    n_real: int | None = None
    n_generated: int | None = None
    features: str = ""
    status: Status
    reason: str = ""
    parameters_backbone: int
    parameters_outside: int
    steps: int
    train_seconds: float
    compute_seconds: float | None
    device: str
    commit: str
    versions: str
    date: str

    def __post_init__(self) -> None:
        if self.status == "ok" and (self.value is None or not math.isfinite(self.value)):
            raise ValueError(
                f"'value' of '{self.metric}' is {self.value} with status 'ok'; "
                "expected a finite number."
            )

    def as_dict(self) -> dict[str, Any]:
        """Returns the columns as a plain dictionary, in order."""
        return asdict(self)


COLUMNS = tuple(field.name for field in fields(Row))
