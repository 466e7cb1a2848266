import subprocess
import sys

import pytest
import torch
from aebench.models.forward_mode import push_forward
from torch import nn

pytestmark = pytest.mark.sensitive


def _network(dims):
    convolution = getattr(nn, f"Conv{dims}d")
    transposed = getattr(nn, f"ConvTranspose{dims}d")
    return nn.Sequential(
        nn.Linear(4, 3 * 4**dims),
        nn.Tanh(),
        nn.Unflatten(1, (3, *[4] * dims)),
        transposed(3, 4, 4, stride=2, padding=1, groups=1),
        nn.Softplus(),
        convolution(4, 2, 3, padding=1, groups=2, dilation=1),
        nn.GELU(),
        transposed(2, 2, 3, bias=False),
        nn.Sigmoid(),
    ).double()


def _draws(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.double) for shape in shapes]


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_values_tangents_and_their_gradients_are_those_of_torchs_forward_mode(dims):
    torch.manual_seed(0)
    network = _network(dims)
    z, u = _draws((5, 4), (5, 4))
    gradients = []
    for method in (push_forward, lambda f, x, v: torch.func.jvp(f, (x,), (v,))):
        codes = z.clone().requires_grad_()
        value, tangent = method(network, codes, u)
        torch.testing.assert_close(value, network(z))
        loss = tangent.square().sum() + value.pow(3).sum()
        gradients.append((tangent, *torch.autograd.grad(loss, [codes, *network.parameters()])))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)
        assert found.abs().max() > 1e-3


def test_a_kernel_that_depends_on_the_input_keeps_its_own_tangent():
    z, u, weight = _draws((3, 4), (3, 4), (4, 4))

    def function(x):
        return torch.nn.functional.linear(x, weight * x.square().sum(), x.sum(0))

    found = push_forward(function, z, u)
    for part, expected in zip(found, torch.func.jvp(function, (z,), (u,)), strict=True):
        torch.testing.assert_close(part, expected)


def test_arguments_by_name_are_understood():
    z, u, weight, bias = _draws((3, 4), (3, 4), (2, 4), (2,))
    _, tangent = push_forward(
        lambda x: torch.nn.functional.linear(x, weight, bias=bias) + nn.functional.linear(
            input=x, weight=weight, bias=bias
        ), z, u
    )  # fmt: skip
    torch.testing.assert_close(tangent, 2 * u @ weight.T)


def test_what_does_not_depend_on_the_input_has_no_tangent():
    z, u = _draws((3, 4), (3, 4))
    value, tangent = push_forward(lambda x: torch.ones(3, 2), z, u)
    assert value.eq(1).all() and tangent.eq(0).all() and tangent.shape == (3, 2)


def test_nothing_is_said_of_torchs_own_code():
    code = (
        "import torch; from aebench.models.forward_mode import push_forward; "
        "push_forward(torch.sigmoid, torch.zeros(2, 3), torch.ones(2, 3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
