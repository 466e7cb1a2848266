"""Checks of an objective that somebody else wrote: what it lacks, in words."""

from __future__ import annotations

import copy
import inspect
import random
import reprlib
from collections.abc import Mapping
from inspect import Parameter
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...models.building import build
from ...models.options import Range, option_defaults
from ...models.registry import unknown_name
from ..files.storage import canonical_json

if TYPE_CHECKING:
    from ...models.objectives.objective import Objective

FORM = (
    'expected __init__(self, backbone, space, *, preset="mnist", OPTION=DEFAULT, ...), which '
    "calls super().__init__(backbone, space, preset=preset) first (docs/extending.md)"
)

LOGGED = ("learning_rate", "loss", "split", "step")  # What stands beside the terms in the log.


def lacking(kind: type[Objective]) -> str:
    """Returns what an objective's constructor, or else its ranges, lack; empty where nothing.

    Args:
        kind: A subclass of `Objective`.

    Example:
        >>> class Own:
        ...     def __init__(self, backbone, space, weight=1.0): ...
        >>> lacking(Own).partition(";")[0]
        "The constructor of 'Own' has no 'preset', and 'weight' before the '*'"
    """
    owner = next(base for base in kind.__mro__ if "__init__" in vars(base))
    parameters = list(inspect.signature(vars(owner)["__init__"]).parameters.values())[1:]
    named = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    passes_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
    plain = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    found = [] if passes_on or "preset" in [*named, *plain] else ["no 'preset'"]
    if len(plain) < 2 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        found.append("not both 'backbone' and 'space'")
    found += [f"'{name}' before the '*'" for name in plain[2:]]
    options = option_defaults(kind)
    found += [f"no default for '{n}'" for n, own in options.items() if own is Parameter.empty]
    if found:
        return f"The constructor of '{owner.__name__}' has {', and '.join(found)}; {FORM}."
    if taken := [name for name in options if name in inspect.signature(build).parameters]:
        return (
            f"The option '{taken[0]}' of '{kind.__name__}' has the name of one of the settings "
            "of a run, which it could never be told from; give it another name."
        )
    return _lacking_ranges(kind)


def _lacking_ranges(kind: type[Objective]) -> str:
    """Returns what `aebench tune` could not use of an objective's ranges; empty where it can."""
    tunable, known = kind.tunable, sorted(option_defaults(kind))
    where = f"'tunable' of '{kind.__name__}'"
    if not isinstance(tunable, Mapping):
        return f"{where} is {reprlib.repr(tunable)}; expected a Range for each option by name."
    for name, own in tunable.items():
        if name not in known:
            return f"{where}: {unknown_name('option', name, known)}"
        if not isinstance(own, Range):
            return f"{where} has {reprlib.repr(own)} for '{name}'; expected a Range."
    return ""


def check_built(objective: Objective) -> None:
    """Checks that a constructor has called its parent's, and that its options can be recorded.

    Raises:
        ValueError: It has not, an option is no JSON, or one that is to be tuned is no number.
    """
    if not hasattr(objective, "backbone"):
        raise ValueError(
            f"The constructor of '{type(objective).__name__}' does not call its parent's; {FORM}."
        )
    for name, value in objective.hyperparameters.items():
        told = f"Option '{name}' of '{type(objective).__name__}' is {reprlib.repr(value)}"
        try:
            canonical_json(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{told}; expected what the record of a run can hold: a finite number, text, "
                "true, false, none, or a list of these."
            ) from None
        if name in type(objective).tunable and not isinstance(value, int | float):
            raise ValueError(
                f"{told}, and 'tunable' names it; expected a number as the default, or one from "
                "self.settle (docs/extending.md)."
            )


def check_terms(objective: Objective, stored: torch.Tensor) -> None:
    """Checks, on a copy, that each term of the loss is a number for each image, and trains.

    Noise has to come from the generator that is handed in, or no run could be repeated.

    Those of the project's own objectives are tested, so they are not asked here.

    Args:
        objective: As it was built.
        stored: A few training items, as stored, (B, C, H, W).

    Raises:
        ValueError: They are not, which would train another loss than is meant, or none.
    """
    if type(objective).__module__.startswith("aebench."):
        return
    own, generator = copy.deepcopy(objective), torch.Generator().manual_seed(0)
    x = own.space.prepare(stored.clone(), generator)  # The terms may change it in place.
    own.initialise(x, generator)
    name, before = type(objective).__name__, _shared_states()
    terms = own.terms(x, generator)
    if drawn := [of for of, state in _shared_states().items() if state != before[of]]:
        raise ValueError(
            f"'terms' of '{name}' draws from {drawn[0]}'s own random numbers, so no run could be "
            "repeated; expected noise from its generator: torch.randn(shape, generator=generator)."
        )
    if not isinstance(terms, Mapping) or not terms:
        raise ValueError(
            f"'terms' of '{name}' returns {terms if terms == {} else type(terms).__name__}; "
            "expected tensors of shape (B,) by name."
        )
    taken = {*LOGGED, *own.diagnostics(x)} if [*terms] != ["loss"] else set()
    for term, value in terms.items():
        if term in taken or "/" in str(term):
            raise ValueError(
                f"'terms' of '{name}' has a term '{term}'; expected a name without '/' that is "
                f"none of {', '.join(sorted({*LOGGED, *taken}))}, which stand beside it in the "
                "log; only a sole term may be 'loss'."
            )
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        if found != (len(x),):
            raise ValueError(
                f"Term '{term}' of '{name}' is {found} for {len(x)} images; expected shape "
                f"({len(x)},), a number for each image."
            )
    if not own.total(dict(terms)).requires_grad:
        raise ValueError(f"No term of '{name}' depends on a parameter: nothing would be trained.")


def _shared_states() -> dict[str, str]:
    """Returns the states of the random numbers that all code of the process shares, by owner."""
    return {
        "torch": str(torch.get_rng_state().tolist()),
        "NumPy": str(np.random.get_state(legacy=False)),
        "Python": str(random.getstate()),
    }
