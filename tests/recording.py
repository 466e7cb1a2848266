"""A recorder of steps for a CPU: what a CUDA graph does, by a tape of the tensor operations."""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

UNWRITTEN = ("aten::empty", "aten::new_empty", "aten::empty_strided", "aten::empty_like")


class Tape(TorchDispatchMode):
    """Writes down each operation with the very tensors it reads and writes."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = function._schema.name
        if name == "aten::_local_scalar_dense":
            raise RuntimeError("operation not permitted when stream is capturing")
        result = function(*args, **kwargs)
        if not name.startswith(UNWRITTEN) and torch.Tag.inplace_view not in function.tags:
            # As the tensors are now: a shape may be changed in place later.
            self.operations.append((function, *tree_map(_alias, (args, kwargs, result))))
        return result

    def replay(self):
        """Does the operations again on the same tensors, without the code that led to them."""
        for function, args, kwargs, result in self.operations:
            outputs, inputs = _tensors(result), _tensors((args, kwargs))
            places = {x.untyped_storage().data_ptr() for x in inputs}
            changes = function._schema.is_mutable
            if not changes and all(x.untyped_storage().data_ptr() in places for x in outputs):
                if outputs:
                    continue  # A view of what is there.
            again = function(*args, **kwargs)
            if changes:
                continue
            for old, new in zip(outputs, _tensors(again), strict=True):
                old.copy_(new)


def _alias(value):
    return value.detach() if isinstance(value, torch.Tensor) else value


def _tensors(tree):
    """Returns the tensors that have memory; zeros of forward mode have none."""
    leaves = [x for x in tree_leaves(tree) if isinstance(x, torch.Tensor)]
    return [x for x in leaves if not x._is_zerotensor()]


class TapeRecorder:
    """Records on tape; like a graph, recording itself changes nothing."""

    def __init__(self, trainer):
        self.trainer = trainer
        self.taken = self.replayed = 0

    def take(self, body):
        self.taken += 1
        body()

    def record(self, body, generator):
        saved = self.trainer.engine._copy()
        tape = Tape()
        with tape:
            body()
        self.trainer.engine._put_back(saved)

        def replay():
            self.replayed += 1
            with torch.no_grad():
                tape.replay()

        return replay
