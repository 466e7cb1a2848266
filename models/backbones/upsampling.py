"""The last layer of the small networks: a transposed convolution that is fast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# An output row meets two rows of the 4x4 kernel: 3 and 1 where its index is even, 2 and 0 where
# it is odd. The earlier input row comes first.
TAPS = (3, 1, 2, 0)


class UpsamplingOutput(nn.ConvTranspose2d):
    """Transposed convolution, kernel 4, stride 2, padding 1: (B, C, H, W) -> (B, O, 2H, 2W).

    The same function of the same weights as torch's layer. On a CPU it is one 2x2 convolution
    that gives the four phases of the output (even or odd row, even or odd column) side by side;
    the image is then woven of them. For the few output channels of an image torch's own layer
    takes about four times as long there.

    Args:
        channels_in: C.
        channels_out: O.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(channels_in, channels_out, 4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Returns the enlarged images.

        Raises:
            ValueError: ``output_size`` was given; this layer always doubles.
        """
        if output_size is not None:
            raise ValueError(f"'output_size' is {output_size}; this layer always doubles.")
        if x.device.type != "cpu":
            return super().forward(x)
        height, width = x.shape[2:]
        phases = F.conv2d(x, self._phase_kernels(), padding=1)
        phases = phases.unflatten(1, (2, 2, self.out_channels))
        # A phase of odd index sees one row or column more: its window starts one further on.
        windows = [
            phases[:, row, column, :, row : row + height, column : column + width]
            for row in (0, 1)
            for column in (0, 1)
        ]
        woven = F.pixel_shuffle(torch.stack(windows, 2).flatten(1, 2), 2)
        return woven if self.bias is None else woven + self.bias[:, None, None]

    def _phase_kernels(self) -> Tensor:
        """Returns kernels (4 O, C, 2, 2): the taps of each phase, out of weights (C, O, 4, 4)."""
        taps = torch.tensor(TAPS, device=self.weight.device)
        picked = self.weight.index_select(2, taps).index_select(3, taps)
        split = picked.unflatten(3, (2, 2)).unflatten(2, (2, 2))
        return split.permute(2, 4, 1, 0, 3, 5).reshape(-1, self.in_channels, 2, 2)

    def _get_name(self) -> str:
        # The architecture is that of torch's layer, so reports and structural hashes say so.
        return "ConvTranspose2d"
