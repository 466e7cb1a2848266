"""Runs the calibration study of the sample metrics and writes its report.

    python scripts/calibrate.py results/calibration [--smoke] [--extractor NAME] [--report]

Interrupted runs go on where they stopped; ``--report`` only writes tables, plots and reading.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aebench.bench.calibration.report import write_report
from aebench.bench.calibration.study import FULL, SMOKE, run


def main() -> None:
    """Parses the command line, computes what is missing and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the results")
    parser.add_argument("--smoke", action="store_true", help="the small study of the tests")
    parser.add_argument("--extractor", action="append", default=[], help="only this extractor")
    parser.add_argument("--report", action="store_true", help="compute nothing")
    arguments = parser.parse_args()
    study = SMOKE if arguments.smoke else FULL
    if not arguments.report:
        run(
            study,
            arguments.out,
            extractors=tuple(arguments.extractor),
            progress=lambda text: print(text, file=sys.stderr, flush=True),
        )
    write_report(study, arguments.out)


if __name__ == "__main__":
    main()
