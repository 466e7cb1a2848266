"""A second VAE over the codes of the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ..gaussian import gaussian_kl
from ..streams import initialised_from, stream
from .density import DENSITIES, Density, check_codes

EPOCHS = 100
BATCH = 64
RATE = 1e-4
BETA = {"mnist": 1.5e-3, "cifar10": 1e-3, "celeba": 2e-3}

Body: TypeAlias = Callable[[], None]
# From a step's body, the network and the optimiser that it changes and its source of noise:
# what carries the step out.
Drive: TypeAlias = Callable[[Body, nn.Module, Optimizer, torch.Generator], Body]


def one_by_one(
    body: Body, network: nn.Module, optimiser: Optimizer, noise: torch.Generator
) -> Body:
    """Returns the step's body: every step is carried out as it stands."""
    return body


class CodeVAE(nn.Module):
    """Dense VAE over standardised codes: two hidden layers of ``hidden`` units on each side."""

    def __init__(self, dims: int, hidden: int) -> None:
        super().__init__()
        self.encoder = _two_layers(dims, hidden)
        self.mu = nn.Linear(hidden, dims)
        self.log_sigma = nn.Linear(hidden, dims)
        self.decoder = nn.Sequential(_two_layers(dims, hidden), nn.Linear(hidden, dims))

    def encode(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and log standard deviation, each (N, L)."""
        features = self.encoder(codes)
        # Bounded as the first stage's is, so that no standard deviation overflows.
        return self.mu(features), 5 * torch.tanh(self.log_sigma(features))

    def loss(self, codes: Tensor, noise: Tensor, beta: float) -> Tensor:
        """Returns mean-over-dimensions squared error plus beta times the summed KL, (N,)."""
        mu, log_sigma = self.encode(codes)
        decoded = self.decoder(mu + log_sigma.exp() * noise)
        return (codes - decoded).square().mean(1) + beta * gaussian_kl(mu, log_sigma)


@DENSITIES.register("second-stage")
class SecondStage(Density):
    """Second-stage VAE as in the RAE paper's released code.

    Codes are standardised with their mean and population standard deviation. Training takes
    Adam at 1e-4, batches of 64, and at most 100 epochs and ``max_steps`` steps. The last tenth
    is for validation: the rate is halved after three epochs without an improvement of 1e-4.

    References:
        Diagnosing and Enhancing VAE Models (Dai and Wipf, 2019), arXiv 1903.05789, in the form
        of From Variational to Deterministic Autoencoders (Ghosh et al., 2020).

    Args:
        beta: Weight of the KL term.
        max_steps: Upper bound on optimiser steps.
        hidden: Units of each hidden layer.
        device: Where it is trained; a fitted one lies on the CPU.
        drive: How its steps are carried out.
    """

    has_log_prob = False
    summary = "a second VAE over the codes (2sVAE)"
    least_codes = 20

    def __init__(
        self,
        beta: float = BETA["mnist"],
        *,
        max_steps: int | None = None,
        hidden: int = 1024,
        device: torch.device | str = "cpu",
        drive: Drive = one_by_one,
    ) -> None:
        self.beta, self.hidden = beta, hidden
        self.device, self.drive = torch.device(device), drive
        self.max_steps = max_steps
        self.mean = torch.empty(0)
        self.std = torch.empty(0)
        self.network: CodeVAE | None = None

    def fit(self, codes: Tensor, seed: int) -> None:
        """Trains the second stage on codes (N, L), N at least 20."""
        codes = check_codes(codes, self.least_codes, "second-stage")
        self.mean = codes.mean(0)
        # A collapsed direction has deviation 0.
        self.std = codes.std(0, correction=0).clamp_min(1e-12)
        inputs = self.standardise(codes).float().to(self.device)
        held_out = max(1, len(inputs) // 10)
        with initialised_from(seed, "second-stage/init"):
            network = CodeVAE(inputs.shape[1], self.hidden)
        noise = stream(seed, "second-stage/noise", self.device)
        self._train(network.to(self.device), inputs[:-held_out], inputs[-held_out:], noise)
        self.network = network.cpu()

    def standardise(self, codes: Tensor) -> Tensor:
        """Returns codes (N, L) less their mean, over their population standard deviation."""
        return (codes - self.mean) / self.std

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Returns decoded means of standard normal draws, (count, L)."""
        return self.decode(torch.randn(count, len(self.mean), generator=generator))

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Returns second-stage means (N, L) of codes (N, L)."""
        inputs = self.standardise(z.cpu().double()).float()
        return self._fitted().encode(inputs)[0].to(z)

    @torch.no_grad()
    def decode(self, u: Tensor) -> Tensor:
        """Returns first-stage codes (N, L) of second-stage codes (N, L)."""
        decoded = self._fitted().decoder(u.cpu().float()).double()
        return (decoded * self.std + self.mean).float().to(u.device)

    def state(self) -> dict[str, Tensor]:
        """Returns the standardisation and the network's weights."""
        weights = {f"network.{k}": v for k, v in self._fitted().state_dict().items()}
        return {"mean": self.mean, "std": self.std, **weights}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restores the standardisation and the network's weights."""
        self.mean, self.std = state["mean"], state["std"]
        self.network = CodeVAE(len(self.mean), state["network.mu.weight"].shape[1])
        prefix = "network."
        self.network.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )

    def _fitted(self) -> CodeVAE:
        if self.network is None:
            raise ValueError("Density 'second-stage' is not fitted; call 'fit' first.")
        return self.network

    def _train(
        self, network: CodeVAE, training: Tensor, held_out: Tensor, noise: torch.Generator
    ) -> None:
        optimiser = _adam(network, self.device)
        schedule = ReduceLROnPlateau(
            optimiser, factor=0.5, patience=2, threshold=1e-4, threshold_mode="abs", eps=0
        )
        # A recorded step reads the same address each time.
        codes = training[:BATCH].clone()

        def take(codes: Tensor) -> None:
            draw = torch.randn(codes.shape, generator=noise, device=codes.device)
            optimiser.zero_grad()
            network.loss(codes, draw, self.beta).mean().backward()
            optimiser.step()

        step = self.drive(lambda: take(codes), network, optimiser, noise)
        fixed = torch.randn(held_out.shape, generator=noise, device=self.device)
        steps = 0
        for _ in range(EPOCHS):
            order = torch.randperm(len(training), generator=noise, device=self.device)
            for batch in order.split(BATCH):
                if self.max_steps is not None and steps >= self.max_steps:
                    return
                if len(batch) == len(codes):
                    torch.index_select(training, 0, batch, out=codes)
                    step()
                else:  # The last of an epoch is smaller, and so no recorded step.
                    take(training[batch])
                steps += 1
            with torch.no_grad():
                schedule.step(float(network.loss(held_out, fixed, self.beta).mean()))


def _adam(network: nn.Module, device: torch.device) -> Optimizer:
    """Returns the optimiser; on a GPU its rate and its steps live there, for recorded steps."""
    if device.type == "cpu":
        return Adam(network.parameters(), lr=RATE)
    rate = torch.tensor(RATE, device=device)
    return Adam(network.parameters(), lr=rate, fused=True, capturable=True)


def _two_layers(dims: int, hidden: int) -> nn.Module:
    layers = (nn.Linear(dims, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
    return nn.Sequential(*layers)
