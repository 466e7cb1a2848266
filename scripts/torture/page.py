"""The torture's counts as a table, and the page on reliability that shows all counts."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from aebench.bench.files.csv_cells import csv_text
from aebench.bench.files.storage import write_atomically
from aebench.bench.records.provenance import commit, device_name, now, versions
from faults import FAULTS
from process import PHASES

if TYPE_CHECKING:
    from audit import Audit
    from torture import Tally

TABLE = "torture.csv"
FUZZ_COLUMNS = ("parser", "inputs", "documented_errors", "accepted", "crashes")
FUZZ = "fuzz.csv"
CLUSTER = "cluster.csv"
CHECKS = {
    "files": "files read to their end and found whole",
    "rows": "rows compared with the undisturbed run's",
    "lost": "rows lost",
    "doubled": "rows doubled",
    "altered": "rows, logs, weights or arrays that differ",
    "broken": "files not whole",
    "leftovers": "temporary or other files left over",
}
CLUSTER_COLUMNS = (
    *("round", "runs", "whole_when_the_command_died", *CHECKS),
    *("commit", "versions", "device", "date"),
)
PROVENANCE = ("seed", "seconds", "commit", "versions", "device", "date")


def write_table(
    folder: Path, tallies: Mapping[str, Tally], audit: Audit, seed: int, seconds: float
) -> None:
    """Writes ``torture.csv``: signal, quantity, value."""
    lines: list[list[object]] = [["signal", "quantity", "value"]]
    for name, tally in tallies.items():
        lines.append([name, "delivered", tally.hits])
        lines += [[name, phase, tally.phases[phase]] for phase in PHASES]
        own = {"restarts": tally.restarts, "rounds": tally.rounds, "unclean": tally.unclean}
        lines += [[name, quantity, value] for quantity, value in own.items()]
    lines += [["", name, getattr(audit, name)] for name in CHECKS]
    about = (seed, round(seconds), commit(), versions(), device_name("cpu"), now())
    lines += [["", name, value] for name, value in zip(PROVENANCE, about, strict=True)]
    write_atomically(folder / TABLE, csv_text(lines))


def write_page(folder: Path) -> None:
    """Writes README.md from those of ``torture.csv``, ``cluster.csv``, ``fuzz.csv`` that exist."""
    sections = {TABLE: _torture, CLUSTER: _cluster, FUZZ: _fuzz}
    there = [(folder / name, section) for name, section in sections.items()]
    parts = [section(_read(path)) for path, section in there if path.is_file()]
    write_atomically(folder / "README.md", "\n\n".join([_TITLE, *parts, _faults()]) + "\n")


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _torture(lines: list[dict[str, str]]) -> str:
    found = {(line["signal"], line["quantity"]): line["value"] for line in lines}
    about = _provenance({name: found["", name] for name in PROVENANCE})
    return "\n\n".join([_INTRODUCTION, _phases(found), _checks(found), about])


def _cluster(lines: list[dict[str, str]]) -> str:
    total = {name: str(sum(int(line[name]) for line in lines)) for name in CHECKS}
    checks = [[text, total[name]] for name, text in CHECKS.items() if name != "files"]
    dead = ", ".join(line["whole_when_the_command_died"] for line in lines)
    told = (
        f"Rounds: {len(lines)}, of {lines[0]['runs']} runs each. "
        f"Whole when the command was killed: {dead}."
    )
    about = _provenance(lines[-1])
    return "\n\n".join([_RAY, told, _table([["check", "count"], *checks]), about])


def _provenance(values: Mapping[str, str]) -> str:
    kept = [name for name in PROVENANCE if name in values]
    return "\n".join(f"- {name}: `{values[name]}`" for name in kept)


_TITLE = "# Nothing lost: the counts"

_INTRODUCTION = """## Commands that are killed

`scripts/torture/torture.py` strikes `aebench run` and `aebench report` at random moments and
starts the same command again, over a small suite (two objectives on `digits`, first one seed
with its report, then three). After each strike every file of the folder is read to its end and
every row there is compared with that of an undisturbed run; when all commands are done, rows,
logs, weights, arrays and the list of files are. Then a fresh folder is begun (a round).

    python scripts/torture/torture.py --kills 500 --stops 50

SIGKILL leaves a process no time for anything. After SIGTERM and SIGINT it must save its state,
write one line, leave no temporary file and exit with 1; one that does not is *unclean*. The
processes are forks of one that has imported the libraries, so the time in which Python starts
and imports is not struck; nothing is written in it."""

_RAY = """## A cluster that loses a worker, a node and its command

`scripts/torture/cluster.py` starts a Ray cluster of a head and two nodes as processes of one
machine. While the suite's runs go on there, it kills a worker process, then a node, then
`aebench run` itself, each at a random moment, and starts the same command again. Then rows, logs,
weights, arrays and the list of files are compared with those of an undisturbed run of two local
workers.

    python scripts/torture/cluster.py --rounds 5"""


def _phases(found: Mapping[tuple[str, str], str]) -> str:
    names = list(dict.fromkeys(signal for signal, _ in found if signal))
    lines = [["strikes while", *names]]
    lines += [[phase, *(found[name, phase] for name in names)] for phase in PHASES]
    for quantity in ("delivered", "restarts", "rounds", "unclean"):
        lines.append([f"**{quantity}**", *(found[name, quantity] for name in names)])
    return "### Strikes\n\n" + _table(lines)


def _checks(found: Mapping[tuple[str, str], str]) -> str:
    lines = [["check", "count"]]
    lines += [[text, found["", name]] for name, text in CHECKS.items()]
    return "### What was found\n\n" + _table(lines)


def _faults() -> str:
    lines = [["fault", "what happens", "test"]]
    lines += [[fault, outcome, f"`{test}`"] for fault, outcome, test in FAULTS]
    about = f"{len(FAULTS)} faults are injected by tests in `tests/`."
    return f"## Faults\n\n{about}\n\n{_table(lines)}"


def _fuzz(lines: list[dict[str, str]]) -> str:
    shown = [[name.replace("_", " ") for name in FUZZ_COLUMNS]]
    shown += [[line[name] for name in FUZZ_COLUMNS] for line in lines]
    return "## Hostile files\n\nInputs by parser of files.\n\n" + _table(shown)


def _table(lines: list[list[str]]) -> str:
    head, *body = lines
    number = all(cell.isdecimal() for line in body for cell in line[1:])
    rule = ["---", *("---:" if number else "---" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))
