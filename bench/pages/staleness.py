"""Which rows do not belong to the suite as it is now, which are missing, which code made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from ..comparison.columns import without_floor
from ..comparison.labels import named
from ..errors import UserError
from ..figures.run_files import RunFiles
from ..records.equivalence import standard_code
from ..records.results import Rows
from ..suites.command import folder_name, run_command
from ..suites.suite import Suite, load_suite
from ..suites.suite_files import suite_names

# In the place of paths, which a page that is moved cannot know.
HERE, OTHER = "DIR", "OTHER"


def staleness(directory: Path, rows: Rows, files: RunFiles) -> list[str]:
    """Returns a line for each way in which runs are stale or missing, with what to do.

    Suites are compared with their packaged definition; own suite files are not looked for.

    Args:
        directory: The results folder.
        rows: Its rows.
        files: What is known of its runs.
    """
    trained = without_floor(rows).drop_duplicates("run")
    notes: list[str] = []
    for (name, scale), own in trained.groupby(["suite", "scale"], sort=True):
        if name in suite_names():
            try:
                suite = load_suite(str(name), settings={"scale": str(scale)})
            except UserError as error:
                notes.append(f"{error} Its rows are reported.")
            else:
                notes += _against_suite(suite, own, directory)
    return [
        *notes,
        *_commits(trained, directory),
        *_training_code(files, trained, directory),
    ]


def _against_suite(suite: Suite, rows: Rows, directory: Path) -> list[str]:
    listed = {config.digest: config.label for config in suite.configs}
    seeds = {int(seed) for seed in rows["seed"]}
    known = listed.keys() | {
        dataclasses.replace(config, seed=seed).digest for config in suite.configs for seed in seeds
    }
    found = set(rows["run"])
    where = f"{suite.name} (scale: {suite.label})"
    notes = []
    others = rows[~rows["run"].isin(known)]
    if strange := list(others["objective"] + " " + others["run"].str[:12]):
        notes.append(
            f"{where}: {len(strange)} of {len(found)} runs are not among the suite's runs as it "
            f"is now ({named(strange)}). They have other settings or are of an older definition. "
            f"Their rows are reported. `{run_command(suite.name, suite.scale, '--out', OTHER)}` "
            "gives the suite as it is, in another folder."
        )
    lost = [label for digest, label in listed.items() if digest not in found]
    if lost and found & listed.keys():
        notes.append(
            f"{where}: {len(lost)} of the suite's {len(listed)} runs have no rows "
            f"({named(lost)}). {_command(suite.name, suite.scale, directory)} goes on from here."
        )
    return notes


def _commits(runs: Rows, directory: Path) -> list[str]:
    commits = sorted(set(runs["commit"]) - {""})
    notes = []
    if len(commits) > 1:
        notes.append(
            f"Runs come from {len(commits)} commits ({named(commits)}). Where training code "
            f"changed in between, {_again(runs, directory)} trains the older ones again."
        )
    changed = [commit for commit in commits if commit.endswith("+")]
    if changed:
        notes.append(
            f"Runs were made from a tree with uncommitted changes ({named(changed)}), so no "
            "commit reproduces them. Commit, then "
            f"{_again(runs[runs['commit'].isin(changed)], directory)}."
        )
    return notes


def _training_code(files: RunFiles, runs: Rows, directory: Path) -> list[str]:
    codes: dict[tuple[str, ...], dict[str, str]] = {}
    for run in sorted(set(runs["run"])):
        record = files.record(run)
        config = record.get("config")
        if isinstance(config, Mapping) and "training_code" in record:
            key = tuple(str(config.get(name)) for name in ("objective", "backbone", "space"))
            codes.setdefault(key, {})[run] = standard_code(str(record["training_code"]))
    return [
        f"'{objective}' ({backbone}) was trained by {len(set(own.values()))} versions of the "
        f"training code (runs {named(list(own))}). "
        f"{_again(runs[runs['run'].isin(list(own))], directory)} trains the older ones again."
        for (objective, backbone, _), own in codes.items()
        if len(set(own.values())) > 1
    ]


def _again(runs: Rows, directory: Path) -> str:
    """Returns the command that trains runs of other code anew, for each suite and scale."""
    suites = sorted({(str(n), str(s)) for n, s in zip(runs["suite"], runs["scale"], strict=True)})
    return " and ".join(_command(*suite, directory, "--rerun-stale") for suite in suites)


def _command(name: str, scale: str, directory: Path, *words: str) -> str:
    """Returns the command that goes on in a results folder, as code in a text."""
    file = name if name in suite_names() else f"{name}.toml"
    if directory.resolve().name == folder_name(name, scale):
        return f"`{run_command(file, scale, *words)}`"
    return f"`{run_command(file, scale, *words, '--out', HERE)}` ({HERE}: this folder)"
