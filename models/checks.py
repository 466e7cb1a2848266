"""No silent nan: the check of log-determinants."""

from __future__ import annotations

import torch
from torch import Tensor

from .switches import VALUE_CHECKS


def check_finite(log_determinants: dict[str, Tensor]) -> None:
    """Raises FloatingPointError, naming layer and image, unless all values are finite.

    Not while `VALUE_CHECKS` is off, where the terms that they are part of are looked at later.

    Args:
        log_determinants: Log-determinants (B,) by the name of their layer.
    """
    if not VALUE_CHECKS:
        return
    stacked = torch.stack(tuple(log_determinants.values())).detach()
    finite = torch.isfinite(stacked)
    if bool(finite.all()):
        return
    layer, index = (int(i) for i in (~finite).nonzero()[0])
    name = tuple(log_determinants)[layer]
    raise FloatingPointError(
        f"The log-determinant of '{name}' is {float(stacked[layer, index])} "
        f"for image {index} of the batch; expected a finite number."
    )
