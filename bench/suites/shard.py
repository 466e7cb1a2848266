"""A share of a suite's runs, the same wherever it is taken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError
from .config import Config


@dataclass(frozen=True)
class Shard:
    """The I-th of N shares of a suite.

    Runs are sorted by digest and every N-th is taken. So the shares differ by at most one run,
    each mixes methods, data sets and seeds, and neither the order of the suite's file nor the
    machine decides anything.

    Attributes:
        index: Which share, from 1.
        count: Of how many.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Reads ``I/N``.

        Raises:
            UserError: It is not two whole numbers with 1 <= I <= N.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found:
            index, count = map(int, found.groups())
            if 1 <= index <= count:
                return cls(index, count)
        raise UserError(f"'--shard' is '{text}'; expected I/N with I from 1 to N, such as 2/8.")

    def of(self, configs: Sequence[Config]) -> tuple[Config, ...]:
        """Returns the runs of this share, in the order given.

        Args:
            configs: Different runs.
        """
        digests = sorted(config.digest for config in configs)
        mine = set(digests[self.index - 1 :: self.count])
        return tuple(config for config in configs if config.digest in mine)
