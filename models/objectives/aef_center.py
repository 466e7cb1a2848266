"""Partition AEF whose core is pixels in the image's middle."""

from __future__ import annotations

from .aef_partition import PartitionAEF
from .masks import center_order
from .objective import OBJECTIVES


@OBJECTIVES.register("aef-center")
class CenterAEF(PartitionAEF):
    """Exact likelihood; the core is pixels in the image's middle."""

    summary = "exact flow, core = pixels in the image's middle"
    order = staticmethod(center_order)
