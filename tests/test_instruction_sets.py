"""Sensitive tests and the regression baseline under each instruction set of the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from aebench.bench.records.results import KEY, read_results

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

HERE = Path(__file__).parent
BASELINE = HERE / "baseline"
# Says which kernels each library takes, in JSON on the last line; oneDNN and MKL print theirs.
PROBE = """
import json
import numpy, scipy.linalg, threadpoolctl, torch
backends = torch.backends
with backends.mkldnn.verbose(backends.mkldnn.VERBOSE_ON):
    torch.nn.Conv2d(3, 8, 3)(torch.ones(2, 3, 32, 32))
with backends.mkl.verbose(backends.mkl.VERBOSE_ON):
    torch.ones(8, 8) @ torch.ones(8, 8)
blas = [x for x in threadpoolctl.threadpool_info() if x["internal_api"] == "openblas"]
print(json.dumps({
    "torch": backends.cpu.get_cpu_capability(),
    "openblas": [x["architecture"] for x in blas],
    "numpy": numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
}))
"""


@dataclass(frozen=True)
class InstructionSet:
    """How libraries are told to use an instruction set, and what they then say.

    Attributes:
        flags: What the processor needs, as /proc/cpuinfo has it.
        variables: Environment variables; without MKL's, which it heeds on Intel's alone.
        mkl: MKL's variable.
        numpy: The prefixes of NumPy's features that stay; the baseline's are always there.
        said: Torch's capability, OpenBLAS's architecture, and words of oneDNN's and MKL's lines.
    """

    flags: frozenset[str]
    variables: dict[str, str]
    mkl: dict[str, str]
    numpy: tuple[str, ...]
    said: tuple[str, str, str, str]


# OpenBLAS has Haswell's kernels for Zen, in the builds of NumPy and SciPy, and so no set of it.
SETS = {
    "sse": InstructionSet(
        frozenset({"sse4_1", "sse4_2"}),
        {
            "ATEN_CPU_CAPABILITY": "default",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "OPENBLAS_CORETYPE": "Nehalem",
        },
        {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2"},
        (),
        ("DEFAULT", "Nehalem", "convolution,jit:sse41", "(Intel(R) SSE4.2) enabled"),
    ),
    "avx2": InstructionSet(
        frozenset({"avx2", "fma"}),
        {
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell",
        },
        {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
        ("X86_V3", "AVX2", "FMA3"),
        ("AVX2", "Haswell", "convolution,jit:avx2", "(Intel(R) AVX2) enabled"),
    ),
    "avx512": InstructionSet(
        frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"}),
        {
            "ATEN_CPU_CAPABILITY": "avx512",
            "ONEDNN_MAX_CPU_ISA": "AVX512_CORE",
            "OPENBLAS_CORETYPE": "SkylakeX",
        },
        {"MKL_ENABLE_INSTRUCTIONS": "AVX512"},
        ("X86_V3", "X86_V4", "AVX2", "FMA3", "AVX512F", "AVX512CD", "AVX512_SKX"),
        ("AVX512", "SkylakeX", "convolution,jit:avx512_core", "(Intel(R) AVX-512) enabled"),
    ),
}
every_set = pytest.mark.parametrize("name", SETS)


def processor() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def environment(name: str) -> dict[str, str]:
    """Returns a child's environment; skips the test where the processor lacks the set."""
    chosen, text = SETS[name], processor()
    missing = chosen.flags - set(text.split())
    if missing:
        pytest.skip(f"this processor has no {', '.join(sorted(missing))}")
    mkl = chosen.mkl if "GenuineIntel" in text else {}
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    disabled = " ".join(each for each in found if each not in chosen.numpy)
    numpy = {"NPY_DISABLE_CPU_FEATURES": disabled} if disabled else {}
    return {**plain_environment(), **chosen.variables, **mkl, **numpy}


def plain_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}


def run_python(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=variables)


@every_set
def test_every_library_takes_the_instruction_set(name):
    variables = environment(name)
    done = run_python(variables, "-c", PROBE)
    assert done.returncode == 0, done.stderr
    capability, architecture, onednn, mkl = SETS[name].said
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["torch"] == capability
    assert len(found["openblas"]) >= 2 and set(found["openblas"]) == {architecture}
    assert set(found["numpy"]) <= set(SETS[name].numpy)
    assert onednn in done.stdout
    assert mkl in done.stdout or "MKL_ENABLE_INSTRUCTIONS" not in variables


@every_set
def test_no_sensitive_test_fails(name, tmp_path):
    variables, report = environment(name), tmp_path / "report.xml"
    arguments = ["-q", "-p", "no:cacheprovider", "-m", "sensitive and not long"]
    arguments += [f"--junitxml={report}", f"--basetemp={tmp_path / 'own'}", str(HERE)]
    done = run_python(variables, "-m", "pytest", *arguments)
    assert report.is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    cases = list(ElementTree.parse(report).iter("testcase"))
    moved = {
        f"{case.get('classname')}::{case.get('name')}": (trouble.get("message") or "")[:300]
        for case in cases
        for trouble in (*case.iter("failure"), *case.iter("error"))
    }
    told = "\n".join(f"{test}: {message}" for test, message in moved.items())
    assert not moved, f"{len(moved)} of {len(cases)} tests move under {name}:\n{told}"
    assert done.returncode == 0 and len(cases) > 1000


def regression_rows(variables: dict[str, str], out: Path) -> Any:
    """Trains the regression suite, compares it with the baseline, and returns its rows."""
    cli = ("-c", "import sys; from aebench.bench.cli.main import main; sys.exit(main())")
    suite = str(BASELINE / "regression.toml")
    options = ("--seeds", "0,1,2", "--workers", "1", "--device", "cpu", "--quiet")
    done = run_python(variables, *cli, "run", suite, *options, "--out", str(out))
    assert done.returncode == 0, done.stderr
    done = run_python(variables, *cli, "check", str(out), "--against", str(BASELINE))
    assert done.returncode == 0, done.stdout + done.stderr
    return read_results(out).rows


@pytest.fixture(scope="module")
def own_rows(tmp_path_factory):
    """The rows under the processor's own instruction sets."""
    return regression_rows(plain_environment(), tmp_path_factory.mktemp("own"))


@every_set
def test_the_regression_check_passes_and_rows_that_move_are_told(name, own_rows, tmp_path):
    rows = regression_rows(environment(name), tmp_path)
    pairs = own_rows.merge(rows, on=list(KEY), suffixes=("", "_moved"))
    assert len(pairs) == len(own_rows) == len(rows)
    pairs = pairs[pairs["value"].notna()]
    off = (pairs["value_moved"] - pairs["value"]).abs() / pairs["value"].abs().clip(lower=1e-9)
    far = pairs.assign(off=off)[off > 0].groupby(["objective", "metric"])["off"].max()
    told = [f"{share:.1g} {' '.join(key)}" for key, share in far.nlargest(5).items()]
    warnings.warn(
        f"{name}: {int((off > 0).sum())} of {len(pairs)} rows move; relative, most: "
        f"{', '.join(told)}",
        stacklevel=1,
    )
