"""Memory stays bounded at 50,000 images and 2,048 features."""

import subprocess
import sys

import pytest

CODE = """
import resource, numpy as np
from aebench.metrics import {name}
generator = np.random.default_rng(0)
sets = {{
    key: generator.standard_normal((50_000, 2048), dtype=np.float32)
    for key in ("real", "generated")
}}
{name}(**sets)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["frechet_distance", "precision_recall", "density_coverage"])
def test_peak_memory_is_under_4_gib(name):
    command = [sys.executable, "-c", CODE.format(name=name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 4.0
