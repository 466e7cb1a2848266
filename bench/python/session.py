"""What holds while a function works: threads and products as in a run, errors in one line."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

import torch
from threadpoolctl import threadpool_limits

from ...metrics.devices import products_in
from ...models.registry import UnknownName
from ..errors import RunFailed, UserError
from ..runs.dispatch import threads

COMPUTING = ("numpy", "scipy.linalg", "sklearn.cluster")  # Each brings a pool of threads.


@contextlib.contextmanager
def session() -> Iterator[None]:
    """Computes inside as the command line does, so that both give the same numbers.

    The caller's count of threads, precision of products, default type and mode of gradients are
    put back.

    Raises:
        UserError: A name that is asked for inside is not registered.
    """
    before, kind = torch.get_num_threads(), torch.get_default_dtype()
    for name in COMPUTING:  # The limit below is one of what is loaded.
        importlib.import_module(name)
    torch.set_num_threads(threads())
    torch.set_default_dtype(torch.float32)
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            products_in("ieee"),
            threadpool_limits(threads()),
        ):
            yield
    except UnknownName as error:
        raise UserError(str(error)) from None
    finally:
        torch.set_num_threads(before)
        torch.set_default_dtype(kind)


@contextlib.contextmanager
def computing(what: str) -> Iterator[None]:
    """Opens a session in which a value that cannot be used is an error of one line.

    Raises:
        RunFailed: There is one; the message begins with ``what``.
    """
    with session():
        try:
            yield
        except ValueError as error:
            raise RunFailed(f"{what}: {error}") from error
