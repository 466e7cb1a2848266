import importlib
import sys
from pathlib import Path

from aebench.bench.suites.config import Config, Training

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts" / "speed"))
rates = importlib.import_module("rates")

CONFIG = Config(
    suite="s",
    scale="full",
    dataset="digits",
    backbone="mlp",
    objective="ae",
    latent_dim=16,
    training=Training(steps=50, batch_size=10),
)
# 64 pixels, two hidden layers of 64 on each side, 16 codes.
PRODUCTS = 2 * (64 * 64 + 64 * 64 + 64 * 16)


def test_a_step_counts_two_operations_for_each_product_three_times_for_each_image():
    assert rates.flops_per_step(CONFIG) == 2 * 3 * PRODUCTS * 10


def test_a_matrix_rate_is_that_of_the_products_done(monkeypatch):
    ticks = iter([10.0, 12.0])
    monkeypatch.setattr(rates.time, "perf_counter", lambda: next(ticks))
    assert rates.matrix_rate("cpu", "float32", side=8) == 2 * 8**3 * rates.REPEATS / 2
