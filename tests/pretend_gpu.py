"""A GPU that is not there: tensors that say they lie on it, and what a real one would refuse.

The tensors compute on the CPU. What is refused: tensors or generators of two devices in one
operation, a wait of the host for the device while a step is recorded, moments that the fused
optimiser cannot read. What cannot be seen here: kernels, streams, memory and speed.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import runpy
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import adam, optimizer
from torch.utils import _foreach_utils
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GRAPHS = runpy.run_path(str(Path(__file__).with_name("pretend_graphs.py")))
# torch knows this device on every machine, and computes nothing on it.
GPU = torch.device("meta")
CAPTURING = "operation not permitted when stream is capturing"
TWO_DEVICES = "Expected all tensors to be on the same device, but found two"
STUCK = "Offset increment outside graph capture encountered unexpectedly."
LAYOUT = "params, grads, exp_avgs, and exp_avg_sqs must have same dtype, device, and layout"

INDEXED = ("aten::index", "aten::index_put", "aten::_index_put_impl_", "aten::_unsafe_index")
ANSWERS = (
    *("aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal"),
    # The size of the result is known on the device alone.
    *("aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim"),
    *("aten::repeat_interleave", "aten::_linalg_check_errors"),
)
# A number on the CPU may stand beside tensors elsewhere, but not in these.
NO_NUMBERS = ("aten::cat", "aten::stack", "aten::mm", "aten::addmm", "aten::gather")


class MixedDevices(RuntimeError):
    """One operation got tensors or generators of two devices."""


class GpuTensor(torch.Tensor):
    """A tensor that says it lies on the GPU; ``inner`` is the CPU's tensor with its values."""

    inner: Tensor
    is_meta = False

    @staticmethod
    def __new__(cls, inner: Tensor) -> GpuTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=GPU,
        )
        if inner.device.type != "cpu":
            raise TypeError(f"A tensor was made out of sight, on {inner.device}.")
        made.inner = inner
        return made

    def __tensor_flatten__(self):
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return GpuTensor(inner["inner"])

    def __repr__(self):
        return f"GpuTensor({self.inner!r})"

    def __deepcopy__(self, memo):
        return GpuTensor(self.inner.clone())

    def data_ptr(self):
        return self.inner.data_ptr()

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError("can't convert a GPU's tensor to numpy. Use Tensor.cpu() first.")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _MACHINES[-1].carry_out(function, args, kwargs or {})


class GpuGenerator(torch.Generator):
    """A generator that says it belongs to the GPU.

    Attributes:
        stuck: Whether a recording that failed has left it in recording mode.
    """

    device = property(lambda self: GPU)

    def __init__(self) -> None:
        self.stuck = False
        _GENERATORS[self._cdata] = self

    def clone_state(self) -> GpuGenerator:
        clone = GpuGenerator()
        clone.set_state(self.get_state())
        return clone

    def graphsafe_set_state(self, other: GpuGenerator) -> None:
        self.set_state(other.get_state())
        self.stuck = other.stuck


class Gpu(TorchDispatchMode):
    """The machine; its operations are carried out here while it is entered.

    Attributes:
        reads: How often the host has waited for the device.
        replays: How often a recorded step was done again.
        recording: The step that is being recorded, if one is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.replays = 0
        self.recording: Any = None
        self.default = GpuGenerator()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return self.carry_out(function, args, kwargs or {})

    def carry_out(self, function, args, kwargs) -> Any:
        """Does what the operation does, on the CPU, or refuses it as a GPU would."""
        name = function._schema.name
        if _is_composite(function):  # As in inference mode, and with tensors made there.
            with self:
                return function.decompose(*args, **kwargs)
        leaves = _leaves(args) + _leaves(kwargs.values())
        there = [x for x in leaves if isinstance(x, GpuTensor)]
        here = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, GpuTensor)]
        device = kwargs.get("device")
        on_gpu = bool(there) if device is None else torch.device(device) == GPU
        self._check_devices(name, args, there, here, on_gpu)
        self._check_generators(name, leaves, on_gpu)
        if name == "aten::_fused_adam_" and there:
            _check_layouts(*args[:4])
        if there or on_gpu:
            inner = {name: _inner(value) for name, value in kwargs.items()}
            result = self._compute(function, _inner(args), inner)
        else:
            result = function(*args, **kwargs)
        return _outcome(function, args, kwargs, result) if on_gpu else result

    def _compute(self, function, args, kwargs) -> Any:
        if "device" in kwargs:
            kwargs["device"] = torch.device("cpu")
        if function._schema.name == "aten::_efficientzerotensor":
            kwargs.pop("pin_memory", None)  # It has no memory, which a wrapper needs.
            return torch.zeros(*args, **kwargs)
        if self.recording is not None:
            return self.recording.note(function, args, kwargs)
        return function(*args, **kwargs)

    def _check_devices(self, name, args, there, here, on_gpu) -> None:
        if name in ("aten::_to_copy", "aten::copy_"):
            source = args[1] if name == "aten::copy_" else args[0]
            target = isinstance(args[0], GpuTensor) if name == "aten::copy_" else on_gpu
            if isinstance(source, GpuTensor) != target:
                self._wait(name)
        elif there and here:
            numbers = name not in NO_NUMBERS
            lost = [x for x in here if x.dim() > 0 or not numbers]
            if name.rstrip("_") in INDEXED or name in INDEXED:
                if lost and all(not x.is_floating_point() for x in lost):
                    self._wait(name)  # Indices are copied to the device.
                    lost = []
            if lost:
                raise MixedDevices(f"{TWO_DEVICES} ({name})")
        if there and (name in ANSWERS or _picks_by_truth(name, args)):
            self._wait(name)

    def _check_generators(self, name, leaves, on_gpu) -> None:
        for leaf in leaves:
            if isinstance(leaf, torch.Generator):
                generator = _GENERATORS.get(leaf._cdata)
                if (generator is not None) != on_gpu:
                    raise MixedDevices(f"A generator of another device than its tensor ({name})")
                if generator is not None and generator.stuck and self.recording is None:
                    raise RuntimeError(STUCK)

    def _wait(self, name: str) -> None:
        self.reads += 1
        if self.recording is not None:
            self.recording.failed = True
            raise RuntimeError(f"{CAPTURING} ({name})")


_MACHINES: list[Gpu] = []
_GENERATORS: weakref.WeakValueDictionary[int, GpuGenerator] = weakref.WeakValueDictionary()


def _leaves(values: Any) -> list[Any]:
    """Returns the arguments of an operation, those within lists too."""
    found = []
    for value in values:
        found += value if isinstance(value, (list, tuple)) else [value]
    return found


def _inner(value: Any) -> Any:
    if isinstance(value, GpuTensor):
        return value.inner
    return type(value)(map(_inner, value)) if type(value) in (list, tuple) else value


def _wrap(value: Any) -> Any:
    plain = isinstance(value, Tensor) and not isinstance(value, GpuTensor)
    return GpuTensor(value) if plain else value


@functools.cache
def _is_composite(function: Any) -> bool:
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    return torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), key)


def _picks_by_truth(name: str, args: Any) -> bool:
    """Says whether an index is of truth values, whose count the host has to ask for."""
    if name not in INDEXED and name.rstrip("_") not in INDEXED:
        return False
    return any(isinstance(x, Tensor) and x.dtype == torch.bool for x in tree_leaves(args[1]))


def _check_layouts(parameters: Any, *others: Any) -> None:
    for tensors in zip(parameters, *others, strict=True):
        first = tensors[0]
        for other in tensors[1:]:
            pairs = zip(first.shape, first.stride(), other.stride(), strict=True)
            if any(size != 1 and a != b for size, a, b in pairs):
                raise RuntimeError(LAYOUT)


def _outcome(function: Any, args: Any, kwargs: Any, result: Any) -> Any:
    """Returns the result on the GPU: the tensor given where an operation changes that one."""
    if torch.Tag.inplace_view in function.tags:
        with no_dispatch():
            function(*args, **kwargs)
        return args[0]
    if not function._schema.is_mutable:
        return tree_map(_wrap, result)
    given = iter(GRAPHS["arguments_written"](function, args, kwargs))
    returned = function._schema.returns
    results = result if isinstance(result, (tuple, list)) else [result]
    made = [
        next(given) if form.alias_info is not None else _wrap(value)
        for form, value in zip(returned, results, strict=False)
    ]
    return made[0] if len(made) == 1 else tuple(made) or None


class _Generators(type):
    """Makes ``torch.Generator`` know the GPU's generators, too."""

    plain = torch.Generator

    def __call__(cls, device: Any = "cpu") -> torch.Generator:
        return GpuGenerator() if torch.device(device) == GPU else cls.plain(device)

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.plain)


class _AnyGenerator(metaclass=_Generators):
    pass


@contextlib.contextmanager
def pretend_gpu(patch: Any) -> Iterator[Gpu]:
    """Makes `GPU` a device that torch can compute on, inside.

    Args:
        patch: pytest's ``monkeypatch``.
    """
    gpu = Gpu()
    for name in ("tensor", "as_tensor"):
        patch.setattr(torch, name, _then_moved(getattr(torch, name)))
    patch.setattr(torch, "Generator", _AnyGenerator)
    cuda = GRAPHS["Cuda"](gpu)
    for name in (
        *(
            "Stream",
            "Event",
            "CUDAGraph",
            "default_generators",
            "current_stream",
            "stream",
            "graph",
        ),
        "graph_pool_handle",
    ):
        patch.setattr(torch.cuda, name, getattr(cuda, name))
    patch.setattr(torch._C, "_cuda_endAllocateToPool", cuda.end_pool)
    patch.setattr(torch._C, "_cuda_releasePool", lambda device, pool: None)
    for module, name in itertools.product(
        (adam, optimizer, _foreach_utils), ("capturable", "fused_kernels", "foreach_kernels")
    ):
        patch.setattr(module, f"_get_{name}_supported_devices", _any_device, raising=False)
    torch._C._set_only_lift_cpu_tensors(True)
    _MACHINES.append(gpu)
    try:
        with gpu:
            yield gpu
    finally:
        _MACHINES.pop()
        torch._C._set_only_lift_cpu_tensors(False)


def _then_moved(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Returns what makes a tensor on the CPU, where operations are seen, and moves it."""

    def made(data: object, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
        values = data if isinstance(data, Tensor) else make(data, dtype=dtype, **options)
        return values.to(device=device or values.device, dtype=dtype or values.dtype)

    return made


def _any_device(*given: object) -> list[str]:
    return ["cpu", "cuda", GPU.type]
