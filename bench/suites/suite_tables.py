"""What a suite file may hold: its tables, how they are checked, their JSON schema for editors."""

from __future__ import annotations

import inspect
import re
import reprlib
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    create_model,
)

from ...models.registry import unknown_name
from ..errors import UserError
from .config import STRICT, Config, Evaluation, Training

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Scale = Literal["smoke", "small", "full"]
SCALES: tuple[str, ...] = get_args(Scale)
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
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
}
# pydantic puts these tags between the keys that lead to an error, so they must not look like keys.
ONE, SEVERAL = "(one)", "(several)"


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


class Table(BaseModel):
    """A table of which no key is unknown."""

    model_config = ConfigDict(**STRICT, json_schema_extra=_describe)


def _table(name: str, doc: str | None, keys: dict[str, Any]) -> type[Table]:
    return create_model(name, __base__=Table, __doc__=doc, **keys)


def _one_or_more(kind: Any) -> Any:  # noqa: ANN401
    """Returns the type of a value or of a list of them, told apart before they are checked."""
    return Annotated[
        Annotated[kind, Tag(ONE)] | Annotated[list[kind], Field(min_length=1), Tag(SEVERAL)],
        Discriminator(lambda value: SEVERAL if isinstance(value, list) else ONE),
    ]


def _keys(kind: type, *, swept: bool) -> dict[str, Any]:
    """Returns types and defaults of a dataclass's fields; those swept may also be lists."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: (
            _one_or_more(hints[field.name]) if swept else hints[field.name],
            field.default,
        )
        for field in fields(kind)
    }


_FACTORS, _PLAIN = _keys(Config, swept=True), _keys(Config, swept=False)
_LAYER = {
    **{key: (_FACTORS[key][0], None) for key in FACTORS},
    "training": (_table("Training", Training.__doc__, _keys(Training, swept=True)), None),
    "evaluation": (_table("Evaluation", Evaluation.__doc__, _keys(Evaluation, swept=False)), None),
}
_OPTIONS = {key: (_PLAIN[key][0], None) for key in ("options", "backbone_options")}
_TEXTS = (Config.__doc__ or "").partition("\n")[2]
_RUNS = _table("Runs", f"One run for each combination of values.\n{_TEXTS}", _LAYER | _OPTIONS)
_WIDTH = {"width": (float, None)}
_PRESET = _table("Scale", f"What a scale changes in all runs.\n{_TEXTS}", _LAYER | _WIDTH)
_SCALES = _table("Scales", "What each scale changes.", dict.fromkeys(SCALES, (_PRESET, None)))
_COMMAND = _table("Command", "What --set may give.", _LAYER | {"scale": (Scale, None)})
SuiteFile = _table(
    "Suite",
    """A set of runs.

    Attributes:
        title: One line for tables.
        description: What the suite shows.
        paper: The table or figure of a paper that it regenerates.
        scale: The scale unless the command names another.
        scales: What each scale changes. It wins over the settings of the runs.
        training: How all runs are trained.
        evaluation: What is computed from all runs.
        runs: The runs.
    """,
    {
        **dict.fromkeys(("title", "description", "paper"), (str, "")),
        "scale": (Scale, "full"),
        "scales": (_SCALES, None),
        "training": _LAYER["training"],
        "evaluation": _LAYER["evaluation"],
        "runs": (Annotated[list[_RUNS], Field(min_length=1)], ...),  # type: ignore[valid-type]
    },
)
# The tables by their names in a file; "" is the whole file, "--set " what the command gives.
_BY_NAME = {
    "": SuiteFile,
    "--set ": _COMMAND,
    "runs": _RUNS,
    "scales": _SCALES,
    **dict.fromkeys(SCALES, _PRESET),
    **{key: _LAYER[key][0] for key in ("training", "evaluation")},
}


def check(content: dict[str, Any], source: str, where: str = "") -> None:
    """Checks the content of a suite file, or of the options ``--set `` if ``where`` says so.

    Raises:
        UserError: The message names each key that is wrong, its value and what was expected.
    """
    try:
        _BY_NAME[where].model_validate(content)
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
        table = next((key for key in reversed(keys[:-1]) if isinstance(key, str)), where)
        name, known = str(keys[-1]), list(_BY_NAME[table].model_fields)
        hint = unknown_name("key", name, known).removeprefix(f"Unknown key '{name}'.")
        return f"{told} is unknown.{hint.removesuffix('.')}"
    if kind == "value_error":
        return f"{told} {context['error']}"
    value = None if kind == "missing" else error["input"]
    expected = (
        EXPECTED[kind].format(**context).replace("'", "") if kind in EXPECTED else error["msg"]
    )
    several = " or a list of them" if ONE in error["loc"] and kind.endswith("_type") else ""
    return f"{told} is {reprlib.repr(value)}; expected {expected}{several}"
