from __future__ import annotations

import copy
import runpy
from pathlib import Path

import pytest
import torch
from aebench.bench.evaluation.outputs import Outputs
from aebench.bench.likelihood.model import rows_on_gpu
from aebench.metrics.devices import in_batches
from aebench.metrics.features.pixels import Pixels
from aebench.models import build
from aebench.models.backbones.backbone import BACKBONES
from aebench.models.objectives.vae import VAE
from torch.utils._python_dispatch import TorchDispatchMode

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
products = TOLERANCES["products"]


def _limited(most, function):
    """Returns the function as on a device whose memory holds ``most`` images."""

    def limited(self, x, *arguments):
        if len(x) > most:
            raise torch.OutOfMemoryError(f"CUDA out of memory for {len(x)} images.")
        return function(self, x, *arguments)

    return limited


@pytest.mark.parametrize("count", [0, 1, 7, 8, 100])
def test_the_ranges_follow_each_other_whatever_the_memory(count):
    tried = []

    def compute(start, stop):
        tried.append(stop - start)
        if stop - start > 3:
            raise torch.OutOfMemoryError
        return list(range(start, stop))

    assert [i for part in in_batches(compute, count, 50) for i in part] == list(range(count))
    too_large = [size for size in tried if size > 3]
    assert too_large == sorted(too_large, reverse=True) and len(too_large) <= 5


# In the words of torch 2.11 and of the libraries that it calls.
SHORT = [
    torch.OutOfMemoryError("Allocation failed."),
    MemoryError(),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: can't allocate "
                 "memory: you tried to allocate 8 bytes."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `x`"),
]  # fmt: skip


@pytest.mark.parametrize("error", SHORT, ids=lambda error: str(error)[:40])
def test_a_range_is_halved_whatever_the_words_for_too_little_memory(error):
    def compute(start, stop):
        if stop - start > 3:
            raise error
        return stop - start

    assert in_batches(compute, 8, 8) == [2, 2, 2, 2]
    with pytest.raises(type(error)):
        in_batches(lambda start, stop: compute(0, 9), 8, 8)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("a bug"),
        RuntimeError("cuDNN error: CUDNN_STATUS_BAD_PARAM"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"),
        ValueError("out of memory"),
    ],
)
def test_other_errors_are_not_taken_for_a_lack_of_memory(error):
    tried = []

    def compute(start, stop):
        tried.append(stop - start)
        raise error

    with pytest.raises(type(error), match=str(error)):
        in_batches(compute, 8, 4)
    assert tried == [4]


def test_a_run_says_so_where_a_library_of_the_gpu_lacks_memory(suite_file, aebench, monkeypatch):
    def short(self, x, *arguments):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")

    monkeypatch.setattr(VAE, "decode", short)
    code, told = aebench(suite_file(('["ae", "vae"]', '"vae"')))
    assert code == 1 and "run 'vae digits d=3 s=0': out of memory on cpu" in told


def test_an_evaluation_that_runs_out_of_memory_goes_on_in_smaller_batches_with_the_same_rows(
    suite_file, aebench, tmp_path, rows_in, monkeypatch, caplog
):
    more = ('["reconstruction"]', '["reconstruction", "frechet"]')
    suite = suite_file(('["ae", "vae"]', '"vae"'), more)
    assert aebench(suite, out=tmp_path / "whole")[0] == 0
    monkeypatch.setenv("AEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(VAE, "encode", _limited(40, VAE.encode))
    monkeypatch.setattr(VAE, "decode", _limited(7, VAE.decode))
    monkeypatch.setattr(Pixels, "embed", _limited(9, Pixels.embed))
    assert aebench(suite)[0] == 0
    assert "out of memory; going on in batches of" in caplog.text
    few, whole = ([*rows_in(tmp_path / name).values()] for name in ("out", "whole"))
    few, whole = ([row for rows in found for row in rows] for found in (few, whole))
    assert len(few) == len(whole) > 5
    for row, expected in zip(few, whole, strict=True):
        # A rounding may move one of 1280 pixels by a grey level: the error by 2 / 255 / 1280.
        assert row.pop("value") == pytest.approx(expected.pop("value"), rel=1e-4)
        row.pop("stderr"), expected.pop("stderr")
        assert row == expected


def test_smaller_batches_see_the_same_noise(monkeypatch):
    from aebench.bench.data.dataset import load_dataset
    from aebench.bench.suites.config import Evaluation
    from aebench.models.building import build

    data = load_dataset("digits")
    codes = []
    settings = {"image_shape": (1, 8, 8), "latent_dim": 3, "seed": 0, "space": "logit"}
    model = build("vae", backbone="tiny", **settings)
    noise = torch.Generator().manual_seed(0)
    model.initialise(model.space.prepare(data.train[:100], noise), noise)
    for most in (1000, 30):
        monkeypatch.setattr(VAE, "encode", _limited(most, VAE.encode))
        codes.append(Outputs(model, data, Evaluation(images=100), 0).train_codes)
    atol = float32_slack(codes[0].abs().max(), products(model))
    torch.testing.assert_close(*codes, rtol=0, atol=atol)


def test_a_likelihood_decodes_fewer_rows_at_once_where_memory_ends():
    from aebench.bench.likelihood.importance import joint_of_draws

    class Model:
        def log_joint(self, y, z):
            if len(z) > 5:
                raise torch.OutOfMemoryError
            return y.flatten(1).sum(1) * z.sum(1)

    generator = torch.Generator().manual_seed(0)
    y = torch.rand(4, 1, 2, 2, generator=generator)
    z = torch.rand(6, 4, 3, generator=generator)
    expected = y.flatten(1).sum(1) * z.sum(2)
    atol = float32_slack((y.flatten(1).sum(1) * z.sum(2)).max(), 4 + 3)
    torch.testing.assert_close(joint_of_draws(Model(), y, z, 24), expected, rtol=0, atol=atol)


def test_no_memory_for_a_single_image_is_one_line_that_names_the_run_and_no_row(
    suite_file, aebench, tmp_path, monkeypatch
):
    suite = suite_file(('["ae", "vae"]', '"vae"'))
    decode = VAE.decode
    monkeypatch.setattr(VAE, "decode", _limited(0, decode))
    code, told = aebench(suite)
    assert code == 1 and "run 'vae digits d=3 s=0': out of memory on cpu" in told
    assert not list(tmp_path.glob("out/runs/[0-9a-e]*/result.json"))
    monkeypatch.setattr(VAE, "decode", decode)
    code, told = aebench(suite)
    assert code == 0 and "1 evaluated" in told


def test_no_memory_for_the_floor_is_one_line(suite_file, aebench, monkeypatch):
    from aebench.bench.runs.floor import FloorEvaluator

    def full(self, item):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(FloorEvaluator, "compute", full)
    code, told = aebench(suite_file(('["reconstruction"]', '["frechet"]')))
    assert code == 1 and "aebench: Floor of the scores on 'digits': out of memory on cpu" in told


class LargestTensor(TorchDispatchMode):
    """Counts the elements of the largest tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def largest_tensor(model, rows, size):
    """Returns the elements of the largest tensor while so many codes are decoded."""
    with torch.no_grad(), torch.device("meta"), LargestTensor() as seen:
        copy.deepcopy(model).to("meta").decode(torch.zeros(rows, size))
    return seen.elements


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64)], ids=str)
@pytest.mark.parametrize("name", BACKBONES.names())
def test_no_tensor_of_a_likelihood_has_as_many_elements_as_kernels_can_index(name, shape):
    size = 256 if name == "aef-big" else 16
    try:
        model = build("vae", backbone=name, image_shape=shape, latent_dim=size, space="unit")
    except ValueError as error:
        assert str(error).startswith((f"Backbone '{name}' got images of", "'image_shape' is"))
        return  # This network is not for such images.
    rows = rows_on_gpu(model.eval())
    assert largest_tensor(model, rows, size) < 2**30
    # And no smaller than that needs.
    assert rows == 8192 or largest_tensor(model, rows + 1, size) >= 2**30
