"""How far values computed in float32 may lie apart, from the sizes of what was rounded.

An operation in float32 errs by at most UNIT of its result. So n operations on a sum err by at
most n UNIT of the size of what is summed, in whatever order a processor takes it (Higham,
Accuracy and Stability of Numerical Algorithms, 2002, Section 4.2). Errors being random, their
variance is at most n UNIT^2 / 6 of that size squared; six standard deviations are
sqrt(6 n) UNIT (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). The smaller of the two holds.
"""

from __future__ import annotations

from torch import nn

UNIT = 2.0**-24


def float32_slack(size: float, operations: int = 1) -> float:
    """Returns how far two float32 results may lie apart.

    Args:
        size: The size of what is rounded: of the terms of a sum, not of the sum.
        operations: Roundings on the way to one value.
    """
    return 2 * min(operations, (6 * operations) ** 0.5) * UNIT * float(size)


def products(network: nn.Module) -> int:
    """Returns how many products lie on the way to one output: layers keep sizes, errors add."""
    weights = [getattr(module, "weight", None) for module in network.modules()]
    return sum(weight[0].numel() for weight in weights if weight is not None and weight.ndim > 1)
