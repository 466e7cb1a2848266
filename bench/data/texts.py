"""The texts that symbols stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ...models.sequences.form import Form


def texts(form: Form, symbols: Tensor | np.ndarray) -> tuple[str, ...]:
    """Returns the texts of symbols (N, ..., T) that are written in a form, in their order.

    Raises:
        SequenceError: The symbols are of no text of this form.
    """
    return tuple(form.text(row) for row in symbols.reshape(len(symbols), -1).tolist())
