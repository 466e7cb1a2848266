"""Start of the command against the import of torch, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

COMMANDS = {
    "help": ("--help",),
    "list suites": ("list", "suites"),
    "wrong arguments": ("run", "--no-such-option"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_start(command, versus):
    start = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"

    def run(*arguments):
        return subprocess.run([sys.executable, "-c", *arguments], capture_output=True, check=False)

    ours, _ = versus(
        lambda: run(start, *COMMANDS[command]),
        lambda: run("import torch"),
        peer="python -c 'import torch'",
        work="process",
        rounds=3,
        note="CPU times do not count other processes" if command == "help" else "",
    )
    assert ours.returncode == (2 if command == "wrong arguments" else 0)
