"""What a suite file may hold: its tables, how they are checked, their JSON schema for editors."""

from __future__ import annotations

import inspect
import json
import re
import reprlib
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import pydantic
from pydantic import Discriminator, Field, Tag, ValidationError

from ...models.registry import unknown_name
from ..errors import UserError
from .config import STRICT, Config, Data, Evaluation, Optimisation, Positive, Training, Tuning

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Scale = Literal["smoke", "small", "medium", "full"]
SCALES: tuple[str, ...] = get_args(Scale)
# What keys are called elsewhere, where no likeness of letters tells what was meant.
USUAL_KEYS = {
    **dict.fromkeys(("lr", "rate"), "learning_rate"),
    **dict.fromkeys(("epochs", "iterations", "iters", "updates"), "steps"),
    **dict.fromkeys(("bs", "batch", "batchsize"), "batch_size"),
    **dict.fromkeys(("z_dim", "dim", "latent_size", "code_size", "latents"), "latent_dim"),
    **dict.fromkeys(("model", "loss", "method"), "objective"),
    **dict.fromkeys(("network", "architecture", "arch"), "backbone"),
    **dict.fromkeys(("clip", "clip_grad", "grad_clip"), "gradient_clip"),
}
FACTORS = ("dataset", "split", "backbone", "objective", "space", "latent_dim", "seed")
MOST_TOLD = 10
EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "model_type": "a table",
    "dict_type": "a table",
    "tuple_type": "a list",
    "list_type": "at least one [[runs]] table",
    "missing": "at least one [[runs]] table",
    "too_short": "at least one value",
    "finite_number": "a finite number",
    "greater_than": "a positive number",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
}
# pydantic puts these tags between the keys that lead to an error, so they must not look like keys.
ONE, SEVERAL = "(one)", "(several)"


def _one_or_more(kind: Any) -> Any:  # noqa: ANN401
    """Returns the type of a value or of a list of such values."""
    one = Annotated[kind, Tag(ONE)]
    several = Annotated[list[kind], Field(min_length=1), Tag(SEVERAL)]
    form = Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE)
    return Annotated[one | several, form]


def _describe(schema: dict[str, Any], kind: type) -> None:
    """Puts the docstring of a table, and the "Attributes" in it, into its JSON schema."""
    schema["description"], _, attributes = inspect.cleandoc(kind.__doc__ or "").partition("\n")
    found = re.findall(r"^    (\w+): (.+(?:\n {8}.+)*)", attributes, re.M)
    texts = {name: " ".join(text.split()) for name, text in found}
    for name, key in schema["properties"].items():
        if name in texts:
            key["description"] = texts[name]
        if key.get("default", 0) is None:  # None stands for a key that is not there.
            del key["default"]


class Table(pydantic.BaseModel):
    """A table of which no key is unknown."""

    model_config = pydantic.ConfigDict(**STRICT, json_schema_extra=_describe)


def _table(name: str, doc: str | None, keys: dict[str, Any]) -> type[Table]:
    return pydantic.create_model(name, __base__=Table, __doc__=doc, **keys)


def _settings(kind: type, *, swept: bool) -> type[Table]:
    """Returns the table of a dataclass's fields; those swept may also be lists of values."""
    hints = get_type_hints(kind, include_extras=True)
    form = _one_or_more if swept else lambda hint: hint
    keys = {
        field.name: (_settings(hints[field.name], swept=False), None)
        if is_dataclass(hints[field.name])
        else (form(hints[field.name]), field.default)
        for field in fields(kind)
    }
    return _table(kind.__name__, kind.__doc__, keys)


_HINTS = get_type_hints(Config, include_extras=True)
_TABLES = {
    "training": _settings(Training, swept=True),
    "evaluation": _settings(Evaluation, swept=False),
    "tuning": _settings(Tuning, swept=False),
    "data": _settings(Data, swept=False),
}
_KEYS = {
    **{key: (_one_or_more(_HINTS[key]), None) for key in FACTORS},
    **{key: (_HINTS[key], None) for key in ("options", "backbone_options")},
    "width": (Positive, None),
    "tuned": (str, None),
    **{key: (table, None) for key, table in _TABLES.items()},
}
_TEXTS = (
    (Config.__doc__ or "").partition("\n")[2].rstrip()
    + """
        data: How your own files are read.
        width: Share of the network's channels. Unless given, it is 1; in a file with scales a
            sixteenth at smoke, a quarter at small and half at medium.
"""
)
_EACH = (
    "Settings of runs, at the top of the file for all or in a block for its own; each value of "
    "each list goes with each of the others."
)
Runs = _table("Runs", f"{_EACH}\n{_TEXTS}", _KEYS)
_SCALE = (Scale, "full")
_BLOCKS = Annotated[list[Runs], Field(min_length=1)]  # type: ignore[valid-type]
_SCALED = _table(
    "Scaled",
    f"""What a scale changes in all runs, those of every [[runs]] block.
{_TEXTS}
        runs: Runs in the place of the suite's; they change what the scale says.
    """,
    {**_KEYS, "runs": (_BLOCKS, None)},
)
_TABLES["scales"] = _table("Scales", "What each scale is.", dict.fromkeys(SCALES, (_SCALED, None)))
_TABLES |= dict.fromkeys(SCALES, _SCALED)
_TABLES["optimisation"] = _settings(Optimisation, swept=False)
SuiteFile = _table(
    "Suite",
    f"""A set of runs: settings at the top are for all; [[runs]] and then the scale change them.
{_TEXTS}
        title: One line over tables and plots.
        description: What the suite shows.
        paper: The table or figure of a paper that it regenerates.
        budget: What a run at scale "full" takes, such as "900 steps", where no paper published a
            protocol. Rows and titles say "own budget" in place of "full".
        scale: What is run unless ``--set scale=`` says otherwise.
        scales: What each scale changes in all runs.
        runs: Which runs there are.
    """,
    {
        **_KEYS,
        **dict.fromkeys(("title", "description", "paper", "budget"), (str, "")),
        "scale": _SCALE,
        "scales": (_TABLES["scales"], None),
        "runs": (_BLOCKS, ...),
    },
)
# What is at the top, by what an error's key starts with.
_TOPS = {"": SuiteFile, "--set ": _table("Command", None, {**_KEYS, "scale": _SCALE})}


def check(content: dict[str, Any], source: str, where: str = "") -> None:
    """Checks a suite file's content, or what the command line gives where that is ``--set ``.

    Raises:
        UserError: The message names each key that is wrong, its value and what was expected.
    """
    try:
        _TOPS[where].model_validate(content)
    except ValidationError as error:
        raise refusal(error, source, where) from error


def refusal(error: ValidationError, source: str, where: str = "") -> UserError:
    """Returns the error that tells in one line all that is wrong."""
    told = list(dict.fromkeys(_told(each, where) for each in error.errors(include_url=False)))
    more = f"; and {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    return UserError(f"{source}: {'; '.join(told[:MOST_TOLD])}{more}.")


def _told(error: ErrorDetails, where: str) -> str:
    kind, context = error["type"], error.get("ctx", {})
    keys = [key for key in error["loc"] if key not in (ONE, SEVERAL)]
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    told = f"key '{where}{path.removeprefix('.')}'"
    if kind == "extra_forbidden":
        above = [key for key in keys[:-1] if isinstance(key, str)]
        table = _TABLES.get(above[-1], Runs) if above else _TOPS[where]
        name, known = str(keys[-1]), list(table.model_fields)
        hint = unknown_name("key", name, known).removeprefix(f"Unknown key '{name}'.")
        meant = USUAL_KEYS.get(name.lower())
        if meant in known:
            hint = f" It is called '{meant}' here"
        elif not above and meant in _TABLES["training"].model_fields:
            hint = f" It is called 'training.{meant}' here"
        return f"{told} is unknown.{hint.rstrip('.')}"
    if kind == "value_error":
        return f"{told} {context['error']}"
    value = None if kind == "missing" else error["input"]
    expected = EXPECTED[kind].format(**context) if kind in EXPECTED else error["msg"]
    several = " or a list of them" if ONE in error["loc"] and kind.endswith("_type") else ""
    told = f"{told} is {reprlib.repr(value)}; expected "
    told += expected.replace("'", "") + several
    if kind == "tuple_type" and where:  # A shell takes the quotes inside a list away.
        given = value.strip("[]").split(",") if isinstance(value, str) else [value]
        items = json.dumps([i.strip(" '\"") if isinstance(i, str) else i for i in given])
        told += f", such as {where}'{path.removeprefix('.')}={items}'"
    return told
