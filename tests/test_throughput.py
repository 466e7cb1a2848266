import json

import pytest
from aebench.bench.runs import throughput
from aebench.bench.runs.throughput import flops_per_step, matrix_rate, speed_line, steps_per_second
from aebench.bench.suites.config import Config, Training

CONFIG = Config("s", "full", "digits", "mlp", "ae", 16, training=Training(steps=50, batch_size=10))
# 64 pixels, two hidden layers of 64 on each side, 16 codes.
PRODUCTS = 2 * (64 * 64 + 64 * 64 + 64 * 16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rows = [{"steps": 50, "train_seconds": 0.5}]
    monkeypatch.setattr(throughput, "decode_result", lambda text: json.loads(text))
    (tmp_path / "result.json").write_text(json.dumps(rows))
    return tmp_path


def test_the_rate_is_steps_over_seconds(folder):
    assert steps_per_second(folder) == 100
    assert steps_per_second(folder / "missing") is None


def test_the_rate_of_what_is_not_a_result_is_not_told(tmp_path):
    (tmp_path / "result.json").write_text("[{")
    assert steps_per_second(tmp_path) is None
    assert speed_line([(CONFIG, tmp_path)], "cpu") == ""


def test_a_step_counts_two_operations_for_each_product_three_times_for_each_image():
    assert flops_per_step(CONFIG) == 2 * 3 * PRODUCTS * 10


def test_the_line_names_steps_and_images_a_second(folder):
    line = speed_line([(CONFIG, folder)] * 3, "cpu")
    assert line.startswith("trained at 100 steps/s, 1,000 images/s (median of 3 runs")


def test_slow_steps_are_told_in_three_digits(folder):
    (folder / "result.json").write_text(json.dumps([{"steps": 50, "train_seconds": 40}]))
    assert speed_line([(CONFIG, folder)], "cpu").startswith("trained at 1.25 steps/s, 12.5 images")


def test_on_a_gpu_the_line_names_the_share_of_the_measured_matrix_rate(folder, monkeypatch):
    ceiling = 4 * 100 * flops_per_step(CONFIG)
    monkeypatch.setattr(throughput, "matrix_rate", lambda device, precision: ceiling)
    line = speed_line([(CONFIG, folder)], "cuda")
    assert ", 25% of the 0 TFLOP/s measured here for float32 matrix products" in line


def test_a_matrix_rate_is_that_of_the_products_done(monkeypatch):
    ticks = iter([10.0, 12.0])
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: next(ticks))
    assert matrix_rate("cpu", "float32", side=8) == 2 * 8**3 * throughput.REPEATS / 2
