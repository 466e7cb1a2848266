"""What holds on a real GPU; without one these tests are refused, not skipped."""

import pytest
import torch


def pytest_configure(config):
    if not torch.cuda.is_available():
        raise pytest.UsageError("torch sees no GPU here; tests/gpu needs one.")
