"""Partition AEF whose core is pixels at the image's corners."""

from __future__ import annotations

from .aef_partition import PartitionAEF
from .masks import corner_order
from .objective import OBJECTIVES


@OBJECTIVES.register("aef-corner")
class CornerAEF(PartitionAEF):
    """Exact likelihood; the core is pixels at the image's corners."""

    summary = "exact flow, core = pixels at the image's corners"

    @staticmethod
    def order(image_shape: tuple[int, int, int]) -> list[int]:
        """Returns all flat positions, core first."""
        return corner_order(image_shape)
