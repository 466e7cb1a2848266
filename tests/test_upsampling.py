"""The fast last layer is torch's transposed convolution, in value and in both derivatives."""

from __future__ import annotations

import pytest
import torch
from aebench.models.backbones.upsampling import UpsamplingOutput
from torch import nn

pytestmark = pytest.mark.sensitive


def pair(channels_in: int, channels_out: int) -> tuple[UpsamplingOutput, nn.ConvTranspose2d]:
    torch.manual_seed(0)
    ours = UpsamplingOutput(channels_in, channels_out).double()
    peer = nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1).double()
    peer.load_state_dict(ours.state_dict())
    return ours, peer


@pytest.mark.parametrize(("channels_in", "channels_out"), [(1, 1), (16, 1), (5, 3)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7)])
def test_equals_torch_in_value_and_gradients(channels_in, channels_out, size):
    ours, peer = pair(channels_in, channels_out)
    x = torch.randn(4, channels_in, *size, dtype=torch.float64, requires_grad=True)
    other = x.detach().clone().requires_grad_()
    for layer, value in ((ours, x), (peer, other)):
        layer(value).pow(2).sum().backward()
    torch.testing.assert_close(ours(x), peer(other), rtol=0, atol=1e-12)
    torch.testing.assert_close(x.grad, other.grad, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.weight.grad, peer.weight.grad, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.bias.grad, peer.bias.grad, rtol=0, atol=1e-10)


def test_second_derivatives_are_right():
    ours, _ = pair(2, 1)
    x = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(ours, (x,))


def test_is_named_and_hashed_as_the_layer_it_equals():
    ours, peer = pair(4, 1)
    assert repr(ours) == repr(peer)
    assert list(ours.state_dict()) == list(peer.state_dict())


def test_refuses_an_output_size():
    ours, _ = pair(1, 1)
    with pytest.raises(ValueError, match="always doubles"):
        ours(torch.zeros(1, 1, 2, 2), output_size=[5, 5])
