"""Partition AEF whose core is pixels at the image's corners."""

from __future__ import annotations

from .aef_partition import PartitionAEF
from .masks import corner_order
from .objective import OBJECTIVES


@OBJECTIVES.register("aef-corner")
class CornerAEF(PartitionAEF):
    """Exact likelihood; the core is pixels at the image's corners."""

    summary = "exact flow, core = pixels at the image's corners"
    order = staticmethod(corner_order)
