"""The fenced blocks of a Markdown page, and how a reader would run them; loaded with runpy.

A fence names its language. Further words say what a test does with it: ``not-run="reason"``, or
``title="x.py"`` for what the
reader saves under that name.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aebench.bench.cli.main import main

FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHELL_SIGNS = re.compile(r"[|&;<>$`]")
RUN = ("bash", "sh", "python")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, its further words and its text."""

    page: str
    line: int
    language: str
    words: dict[str, str]
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in RUN and not self.words.keys() & {"not-run", "title"}


def blocks_of(text: str, page: str) -> list[Block]:
    """Returns the blocks of a page, in order."""
    found = []
    for fence in FENCE.finditer(text):
        language, *rest = shlex.split(fence[1]) or [""]
        words = dict(word.partition("=")[::2] for word in rest)
        found.append(
            Block(page, text.count("\n", 0, fence.start()) + 1, language, words, fence[2])
        )
    return found


def commands_of(text: str) -> list[str]:
    """Returns the commands of a shell block, lines that go on joined."""
    lines = text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


class Reader:
    """Runs a page's blocks in order, in one folder and one Python session.

    Commands of aebench alone run in this process, for the sake of speed; what needs a shell gets
    one, in which ``aebench`` is the same program.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, Any] = {"__name__": "page"}
        self.said = ""
        self.programs = folder.parent / f"{folder.name}-programs"
        self.programs.mkdir()
        program = self.programs / "aebench"
        call = "import sys; from aebench.bench.cli.main import main; sys.exit(main())"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{call}" "$@"\n')
        program.chmod(0o755)

    def follow(self, block: Block) -> None:
        """Does what a block says; an assertion fails where one of its commands does."""
        if name := block.words.get("title"):
            (self.folder / name).write_text(block.text, encoding="utf-8")
        elif block.is_run and block.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as said:
                exec(compile(block.text, block.place, "exec"), self.names)
            self.said += said.getvalue()
        elif block.is_run:
            for command in commands_of(block.text):
                code = self.run(command)
                assert code == 0, f"{block.place}: '{command}' ended with {code}\n{self.said}"

    def run(self, command: str) -> int:
        words = shlex.split(command, comments=True)
        if words[0] == "aebench" and not SHELL_SIGNS.search(command):
            said, told = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
                try:
                    code = main(words[1:])
                except SystemExit as stop:
                    code = int(stop.code or 0)
            self.said += said.getvalue() + told.getvalue()
            return code
        path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
        )
        self.said += done.stdout + done.stderr
        return done.returncode
