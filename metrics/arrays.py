"""Checks of feature arrays, shared by every metric."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import torch

Features: TypeAlias = "np.ndarray[Any, Any] | torch.Tensor"
Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

ROWS_PER_BLOCK = 4096


class BadInput(ValueError):
    """Arrays that a metric cannot score; the message is one line for the user."""


def check_features(*, minimum: int = 2, vary: bool = False, **sets: Features) -> list[Any]:
    """Returns the named feature sets as arrays that a metric can compute with.

    Tensors on an accelerator stay there, and the other sets follow the first of them;
    everything else becomes a numpy array. Floating types keep their width (half precision
    becomes float32), integers become float64.

    Args:
        minimum: The smallest number of rows that each set must have.
        vary: Whether a set of equal rows is refused.
        **sets: Feature sets by the name that an error message shows, shape (N, F) each.

    Raises:
        BadInput: A set is not of rank 2, has fewer rows than ``minimum``, another number of
            features than the first, a row that is not finite, or only equal rows.

    Example:
        >>> check_features(real=[[0.0, 1.0]])  # doctest: +IGNORE_EXCEPTION_DETAIL
        Traceback (most recent call last):
        ...
        aebench.metrics.arrays.BadInput: 'real' has 1 row; expected at least 2.
    """
    arrays = _on_one_device({name: _as_array(name, each) for name, each in sets.items()})
    for name, array in arrays.items():
        _check_shape(name, array)
    for name, array in arrays.items():
        _check_count(name, array, minimum)
        check_finite(name, array)
        if vary and bool((array == array[:1]).all()):
            raise BadInput(
                f"All {len(array)} rows of '{name}' are equal; expected varied features."
            )
    first, *others = arrays.items()
    for name, array in others:
        if array.shape[1] != first[1].shape[1]:
            raise BadInput(
                f"'{name}' has {array.shape[1]} features and '{first[0]}' has "
                f"{first[1].shape[1]}; expected the same number."
            )
    return list(arrays.values())


def check_finite(name: str, array: Features) -> None:
    """Checks that every row of an array of any rank is finite.

    Raises:
        BadInput: A row is not; the first such row is named.
    """
    for start, block in blocks(array):
        # A sum is finite unless a row is not, or overflows; only then look at every value.
        with np.errstate(invalid="ignore", over="ignore"):
            if np.isfinite(float(block.sum())):
                continue
        rows = ~np.isfinite(to_numpy(block).reshape(len(block), -1)).all(axis=1)
        if rows.any():
            raise BadInput(f"Row {start + int(rows.argmax())} of '{name}' is not finite.")


def blocks(array: Any) -> Iterator[tuple[int, Any]]:  # noqa: ANN401
    """Yields blocks of rows, each with the number of its first row."""
    for start in range(0, len(array), ROWS_PER_BLOCK):
        yield start, array[start : start + ROWS_PER_BLOCK]


def to_numpy(array: Features) -> np.ndarray[Any, Any]:
    """Returns an array or tensor as a numpy array; half precision becomes float32."""
    if is_tensor(array):
        tensor: Any = array
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point() and tensor.element_size() < 4:
            tensor = tensor.float()
        return np.asarray(tensor.numpy())
    result = np.asarray(array)
    return result.astype(np.float32) if result.dtype == np.float16 else result


def to_floats(array: Features) -> Floats:
    """Returns an array or tensor as a float64 numpy array."""
    return to_numpy(array).astype(np.float64)


def float64(array: Any) -> Any:  # noqa: ANN401
    """Converts an array or a tensor to float64, where it lies."""
    return array.double() if is_tensor(array) else array.astype(np.float64)


def like(values: Floats, array: Any) -> Any:  # noqa: ANN401
    """Returns float64 values where another array lies."""
    if not is_tensor(array):
        return values
    import torch

    return torch.as_tensor(values, device=array.device)


def is_tensor(array: object) -> bool:
    """Says whether ``array`` is a torch tensor, without importing torch."""
    return any(kind.__module__.partition(".")[0] == "torch" for kind in type(array).__mro__)


def take(array: Any, rows: Any) -> Any:  # noqa: ANN401
    """Returns rows by their numbers, where the array lies."""
    if is_tensor(array):
        import torch

        rows = torch.as_tensor(rows, device=array.device)
    return array[rows]


def _on_one_device(arrays: dict[str, Any]) -> dict[str, Any]:
    """Brings all sets to the device of the first tensor among them."""
    devices = [array.device for array in arrays.values() if is_tensor(array)]
    if not devices:
        return arrays
    import torch

    return {name: torch.as_tensor(a, device=devices[0]) for name, a in arrays.items()}


def _as_array(name: str, features: Features) -> Any:  # noqa: ANN401
    if is_tensor(features):
        tensor: Any = features
        if tensor.device.type != "cpu":
            tensor = tensor.detach() if tensor.requires_grad else tensor
            wide = tensor.is_floating_point() and tensor.element_size() >= 4
            return tensor if wide else tensor.float()
    array = to_numpy(features)
    if array.dtype.kind in "iu":
        return array.astype(np.float64)
    if array.dtype.kind != "f":
        raise BadInput(f"'{name}' has type {array.dtype}; expected real numbers.")
    return array


def _check_shape(name: str, array: Features) -> None:
    if array.ndim != 2:
        raise BadInput(
            f"'{name}' has shape {tuple(array.shape)}; expected rank 2, (images, features)."
        )
    if array.shape[1] == 0:
        raise BadInput(f"'{name}' has no features; expected at least 1 column.")


def _check_count(name: str, array: Features, minimum: int) -> None:
    if len(array) < minimum:
        rows = "1 row" if len(array) == 1 else f"{len(array)} rows"
        raise BadInput(f"'{name}' has {rows}; expected at least {minimum}.")
