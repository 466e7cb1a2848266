"""The command that trains a model, where a packaged suite lists it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from ..suites.command import run_command
from ..suites.config import Config
from ..suites.suite import Suite, load_suite
from ..suites.suite_files import suite_names

# Asked for in this order until nothing else is left.
FACTORS = ("objective", "latent_dim", "space", "backbone", "dataset", "split")
Record = Mapping[Any, Any]


class Commands:
    """Knows the packaged suites that rows come from, each read once."""

    def __init__(self) -> None:
        self._suites: dict[tuple[str, str], tuple[Suite | None, dict[str, Config]]] = {}

    def of(self, runs: Sequence[Record]) -> str:
        """Returns the command that trains some runs, empty where no packaged suite lists one.

        Args:
            runs: A row of each run of one model.
        """
        suite, known = self._suite(str(runs[0]["suite"]), str(runs[0]["scale"]))
        seeds = sorted({int(run["seed"]) for run in runs})
        config = next((known[run["run"]] for run in runs if run["run"] in known), None)
        if suite is None or config is None:
            return ""
        made = {dataclasses.replace(config, seed=seed).digest for seed in seeds}
        if not {str(run["run"]) for run in runs} <= made:
            return ""
        words = ["--only", *self._only(suite, config), "--seeds", ",".join(map(str, seeds))]
        return run_command(suite.name, suite.scale, *words)

    def _suite(self, name: str, scale: str) -> tuple[Suite | None, dict[str, Config]]:
        if (name, scale) not in self._suites:
            suite = None
            if name in suite_names():
                try:
                    suite = load_suite(name, settings={"scale": scale})
                except UserError:  # A scale that the suite no longer has.
                    suite = None
            configs = suite.configs if suite else ()
            self._suites[name, scale] = suite, {config.digest: config for config in configs}
        return self._suites[name, scale]

    def _only(self, suite: Suite, config: Config) -> list[str]:
        """Returns the fewest factors that leave a config, and what differs in options alone."""
        left, words = list(suite.configs), []
        for factor in FACTORS:
            own = str(getattr(config, factor))
            kept = [other for other in left if str(getattr(other, factor)) == own]
            if factor == "objective" or len(kept) < len(left):
                words.append(f"{factor}={own}")
            left = kept
        return words
