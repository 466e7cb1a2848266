"""Spaces, backbones and objectives of sequences against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from aebench.models import build
from aebench.models.backbones.gru import GRU, CharacterGRU, GrammarGRU
from aebench.models.building import build_space
from aebench.models.objectives.gradient_penalty import exact, forward_probe
from aebench.models.objectives.objective import Objective
from aebench.models.sequences.forms import form
from aebench.models.spaces.sequence import Sequences
from numpy.typing import NDArray
from torch import Tensor, nn

GRAMMAR, CHARACTERS = "expressions-grammar", "expressions-characters"
TEXTS = ["x+1", "sin(x)/2", "exp(x*x)", "1", "x*x+3", "(x)"]
# T, K and the parameters of encoder, both heads and decoder that were published, batch-norm's
# four for each feature counted; and how many of those are its running mean and variance.
PUBLISHED = {
    "expressions-grammar": (15, 12, 25, (3_859, 5_050, 160_362), (18, 50)),
    "expressions-characters": (19, 15, 25, (5_471, 5_050, 160_665), (18, 50)),
    "smiles-grammar": (277, 76, 56, (1_100_188, 48_832, 3_895_036), (0, 0)),
    "smiles-characters": (120, 35, 56, (413_917, 48_832, 3_874_454), (0, 0)),
}


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symbols(name: str = GRAMMAR, texts: list[str] | None = None) -> Tensor:
    written = [form(name).padded(text) for text in texts or TEXTS]
    return torch.tensor(written, dtype=torch.uint8)[:, None, None]


def made(
    objective: str, space: str = "sequence", name: str = GRAMMAR, **options: Any
) -> Objective:
    written = form(name)
    return build(
        objective,
        backbone="grammar-gru",
        image_shape=(1, written.length, written.symbols),
        latent_dim=5,
        space=space,
        form=name,
        backbone_options={"width": 0.1},
        **options,
    )


def data(objective: Objective) -> Tensor:
    return objective.space.prepare(symbols(objective.space.form), None)


def by_hand(name: str, logits: NDArray[Any], numbers: NDArray[Any]) -> NDArray[Any]:
    """Returns the probability of each symbol (T, K) where those of one sequence (T,) stand."""
    written, rows = form(name), []
    for row, number in zip(logits.astype(np.float64), numbers, strict=True):
        state = written.state_of[number]
        weights = [math.exp(v) if written.masks[state][k] else 0.0 for k, v in enumerate(row)]
        rows.append(np.array(weights) / sum(weights))
    return np.array(rows)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_networks_have_the_published_counts_of_parameters(name):
    length, count, latent, published, running = PUBLISHED[name]
    kind = GrammarGRU if name.endswith("grammar") else CharacterGRU
    assert (form(name).length, form(name).symbols) == (length, count)
    backbone = kind((1, length, count), latent)
    encoder, code = size(backbone.encoder), size(backbone.code)
    decoder = size(backbone.decoder) + size(backbone.output)
    assert (encoder + running[0], 2 * code, decoder + running[1]) == published
    buffers = [b.numel() for n, b in backbone.named_buffers() if "running" in n]
    assert sum(buffers) == sum(running)


def size(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_a_recurrent_layer_is_the_one_of_keras_1():
    torch.manual_seed(0)
    layer = GRU(3, 2)
    with torch.no_grad():
        layer.bias.copy_(torch.linspace(-1, 1, 6))
    x = torch.randn(4, 1, 3)
    w, u, b = (p.detach().double().numpy() for p in layer.parameters())
    w_z, w_r, w_h = w[:2], w[2:4], w[4:]
    u_z, u_r, u_h = u[:2], u[2:4], u[4:]

    def gate(values: NDArray[Any]) -> NDArray[Any]:
        return np.clip(0.2 * values + 0.5, 0, 1)

    state, expected = np.zeros(2), []
    for step in x[:, 0].double().numpy():
        z = gate(w_z @ step + u_z @ state + b[:2])
        r = gate(w_r @ step + u_r @ state + b[2:4])
        state = z * state + (1 - z) * np.tanh(w_h @ step + u_h @ (r * state) + b[4:])
        expected.append(state)
    found = layer(x, 4)[:, 0]
    torch.testing.assert_close(found, torch.tensor(np.array(expected)).float())
    same = layer(x[0], 4)
    torch.testing.assert_close(same, layer(x[:1].expand(4, 1, 3), 4))


def test_each_gate_s_kernels_are_drawn_by_glorot_s_rule_and_orthogonal():
    torch.manual_seed(0)
    layer = GRU(40, 60)
    for kernel in layer.input_kernel.detach().split(60):
        bound = math.sqrt(6 / 100)
        assert 0.97 * bound < float(kernel.abs().max()) <= bound
    for kernel in layer.recurrent_kernel.detach().split(60):
        torch.testing.assert_close(kernel @ kernel.T, torch.eye(60), atol=1e-5, rtol=0)
    assert not layer.bias.any()


@pytest.mark.parametrize("name", [GRAMMAR, CHARACTERS])
def test_the_distortions_are_what_a_hand_computes(name):
    stored = symbols(name)
    logits = 3 * torch.randn(*stored.shape[:1], 1, stored.shape[3], form(name).symbols,
                             generator=noise())  # fmt: skip
    shape = tuple(logits.shape[1:])
    for space in ("sequence", "sequence-released"):
        coordinates = build_space(space, shape, 1e-6, False, name)
        y = coordinates(coordinates.prepare(stored, None))[0]
        expected = []
        for row, numbers in zip(logits[:, 0].numpy(), stored[:, 0, 0].numpy(), strict=True):
            p = by_hand(name, row, numbers)
            hot = np.eye(p.shape[1])[numbers]
            if space == "sequence":
                expected.append(-np.log(p[hot == 1]).sum())
            else:
                p = np.clip(p, 1e-7, 1 - 1e-7)
                expected.append(-(hot * np.log(p) + (1 - hot) * np.log(1 - p)).sum())
        found = coordinates.distortion(y, logits)
        torch.testing.assert_close(found, torch.tensor(expected).float(), rtol=1e-5, atol=1e-5)


def test_the_probabilities_of_all_derivations_of_so_many_steps_sum_to_one():
    space = build_space("sequence", (1, 5, 12), 1e-6, False, GRAMMAR)
    logits = torch.randn(1, 1, 5, 12, generator=noise())
    every = torch.tensor(derivations(5), dtype=torch.uint8)
    assert len(every) > 1000
    y = space(space.prepare(every[:, None, None], None))[0]
    distribution = Sequences(space, logits.expand(len(y), -1, -1, -1))
    assert float(distribution.log_prob(y).double().exp().sum()) == pytest.approx(1, abs=1e-5)


def derivations(steps: int) -> list[list[int]]:
    """Returns every sequence of so many productions along the stack, ended or not."""
    written = form(GRAMMAR)
    found: list[tuple[list[int], list[int]]] = [([], list(written.begin))]
    for _ in range(steps):
        found = [
            ([*numbers, number], [*stack[:-1], *written.pushed[number]])
            for numbers, stack in found
            for number in range(written.symbols)
            if written.masks[stack[-1]][number]
        ]
    return [numbers for numbers, _ in found]


def test_drawn_sequences_are_as_frequent_as_their_probabilities_say():
    space = build_space("sequence", (1, 3, 12), 1e-6, False, GRAMMAR)
    logits, count = torch.randn(1, 1, 3, 12, generator=noise(1)), 20_000
    every = torch.tensor(derivations(3), dtype=torch.uint8)[:, None, None]
    one = space.prepare(every, None)
    p = Sequences(space, logits.expand(len(one), -1, -1, -1)).log_prob(one).double().exp()
    drawn = Sequences(space, logits.expand(count, -1, -1, -1)).draw(noise(2))
    found = (drawn.flatten(1) @ one.flatten(1).T == 3).double()
    assert bool((found.sum(1) == 1).all())
    assert bool(((found.mean(0) - p).abs() <= 5 * (p * (1 - p) / count).sqrt()).all())


def test_the_released_loss_is_k_times_the_loss_as_written():
    objective = made("vae", "sequence-released").eval()
    x, drawn = data(objective), torch.randn(len(TEXTS), 5, generator=noise())
    length, count = 15, 12
    mu, log_sigma = objective.posterior(x)
    logits = objective.decode(mu + 0.01 * log_sigma.exp() * drawn)
    losses = []
    for row, numbers, m, s in zip(logits[:, 0], symbols()[:, 0, 0], mu, log_sigma, strict=True):
        p = np.clip(by_hand(GRAMMAR, row.detach().numpy(), numbers.numpy()), 1e-7, 1 - 1e-7)
        hot = np.eye(count)[numbers.numpy()]
        cross = -(hot * np.log(p) + (1 - hot) * np.log(1 - p))
        m, v = m.detach().double().numpy(), 2 * s.detach().double().numpy()
        losses.append(length * cross.mean() - 0.5 * np.mean(1 + v - m**2 - np.exp(v)))
    found = objective.total(objective.terms_at(x, drawn))
    expected = count * torch.tensor(losses).float()
    torch.testing.assert_close(found.detach(), expected, rtol=1e-5, atol=1e-4)
    assert objective.hyperparameters == {"beta": count / 5, "noise": 0.01}


def test_in_the_proper_space_the_loss_of_the_vae_is_minus_a_bound_with_weight_one():
    objective = made("vae").eval()
    x, drawn = data(objective), torch.randn(len(TEXTS), 5, generator=noise())
    mu, log_sigma = objective.posterior(x)
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mu, log_sigma.exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    log_p = objective.observation(mu + log_sigma.exp() * drawn).log_prob(x)
    found = objective.total(objective.terms_at(x, drawn))
    torch.testing.assert_close(found, kl - log_p)
    assert objective.hyperparameters == {"beta": 1.0, "noise": 1.0}


def test_a_regularised_autoencoder_is_the_released_vae_less_its_noise():
    vae, rae = (made(name, "sequence-released").eval() for name in ("vae", "rae"))
    x = data(rae)
    found, expected = rae.terms(x, noise()), vae.terms_at(x, torch.zeros(len(TEXTS), 5))
    _, log_sigma = vae.posterior(x)
    variances = (log_sigma.mul(2).exp() - 1 - 2 * log_sigma).sum(1) / 2
    torch.testing.assert_close(found["distortion"], expected["distortion"])
    torch.testing.assert_close(found["embedding"], expected["rate"] - 12 / 5 * variances)


def test_weight_decay_covers_every_kernel_of_the_decoder_and_nothing_else():
    objective = made("rae-l2", l2=2.0).eval()
    parameters = dict(objective.backbone.named_parameters())
    kernels = {
        name
        for name, value in parameters.items()
        if name.startswith(("decoder", "output")) and value.dim() == 2
    }
    assert set(objective.kernels) == kernels and len(kernels) == 8
    expected = 2 * sum(float(parameters[name].detach().square().sum()) for name in kernels)
    weights = objective.terms(data(objective), noise())["weights"]
    torch.testing.assert_close(weights, torch.full((len(TEXTS),), expected))


def test_the_gradient_penalty_is_the_squared_jacobian_of_the_logits():
    objective = made("rae-gp").eval()
    z = torch.randn(2, 5, generator=noise())
    jacobians = [
        torch.autograd.functional.jacobian(
            lambda v: objective.decode(v[None])[0], row, vectorize=True
        )
        for row in z
    ]
    expected = torch.stack([j.square().sum() for j in jacobians])
    torch.testing.assert_close(
        exact(objective.mean, z)[1].detach(), expected, rtol=1e-4, atol=1e-6
    )
    u = torch.randn(z.shape, generator=noise(3))
    probed = torch.stack([(j @ d).square().sum() for j, d in zip(jacobians, u, strict=True)])
    found = forward_probe(objective.mean, z, noise(3))[1].detach()
    torch.testing.assert_close(found, probed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("space", ["sequence", "sequence-released"])
def test_the_defaults_of_a_sequence_space_are_what_it_says(space):
    factor = 1.0 if space == "sequence" else 12 / 5
    for name in ("rae", "rae-l2", "rae-gp"):
        assert made(name, space).hyperparameters["beta"] == factor
    l2 = made("rae-l2", space).hyperparameters["l2"]
    assert l2 == pytest.approx(1e-6 if space == "sequence" else 12e-6)
    assert made("ae", space).hyperparameters["beta"] == 0
    # What is chosen here stands beside the sums and is the same in both.
    assert made("rae-gp", space).hyperparameters["gp"] == 1e-3
    assert made("wae-mmd", space).hyperparameters["mmd"] == 10.0


def test_decoded_logits_make_valid_texts_and_codes_are_means():
    objective = made("vae").eval()
    x = data(objective)
    with torch.no_grad():
        assert torch.equal(objective.encode(x), objective.posterior(x)[0])
        logits = objective.sample(3, noise())
    assert logits.shape == (3, 1, 15, 12)
    assert float(logits.min()) < 0


# Bad input


def refused(match: str, objective: str = "ae", **changes: Any) -> None:
    options: dict[str, Any] = {
        "backbone": "grammar-gru",
        "image_shape": (1, 15, 12),
        "latent_dim": 5,
        "form": GRAMMAR,
    }
    with pytest.raises(ValueError, match=match):
        build(objective, **{**options, **changes})


def test_what_does_not_fit_a_sequence_is_refused_in_one_line():
    refused("'image_shape' is 1x15x13; form 'expressions-grammar' expects 1 channel and 12",
            image_shape=(1, 15, 13))  # fmt: skip
    refused("'image_shape' is 2x15x12; expected 1 channel", image_shape=(2, 15, 12))
    refused("The sequences have 6 steps; expected at least 7", image_shape=(1, 6, 12))
    refused("'task' is 'words'; expected 'expressions' or 'smiles'",
            backbone_options={"task": "words"})  # fmt: skip
    refused("Space 'sequence' takes sequences and no images", form="", space="sequence")
    refused("'space' is 'unit', which takes no sequences; the data are of form", space="unit")
    refused("'preset' is 'mnist', which has no weights for sequences", preset="mnist")
    refused("'preset' is 'sequence', which has no weights for images", form="", preset="sequence",
            space="unit")  # fmt: skip
    refused("Unknown form 'expressions'", form="expressions")
    refused("'distortion' is 'pixels'; sequences have none", distortion="pixels")
    refused("'l2_kernels' is 'released', which leaves no kernel", "rae-l2", l2_kernels="released")
    refused(
        "'gp' is not given; 'penalty' = 'released' has no weight", "rae-gp", penalty="released"
    )
    for other in ("rae-sn", "cv-vae", "iwae", "aef-linear", "2svae"):
        refused("'space' is 'sequence', in which '.*' is not defined", other)


def test_what_is_no_sequence_of_the_form_is_refused_with_its_place():
    objective = made("ae")
    with pytest.raises(ValueError, match=r"shape \(1, 1, 14\); expected \(1, 1, 15\)"):
        objective.space.prepare(symbols()[..., :14], None)
    x = objective.space.prepare(symbols(), None)
    x[2, 0, 4] = 0
    with pytest.raises(
        ValueError, match="no symbol of form 'expressions-grammar' at step 4 of seq"
    ):
        objective.space(x)
    wrong = symbols()
    wrong[1, 0, 0, 3] = 12
    with pytest.raises(ValueError, match="at step 3 of sequence 1 of the batch"):
        objective.encode(objective.space.prepare(wrong, None))
    impossible = torch.full((1, 1, 1, 277), 75, dtype=torch.uint8)
    impossible[0, 0, 0, 0] = 29  # It leads to what has no production.
    space = build_space("sequence", (1, 277, 76), 1e-6, False, "smiles-grammar")
    with pytest.raises(ValueError, match="at step 0 of sequence 0"):
        space(space.prepare(impossible, None))


def test_states_follow_the_symbols_for_every_text():
    written = form(GRAMMAR)
    for text in TEXTS:
        stack = list(written.begin)
        for number in written.padded(text):
            assert written.state_of[number] == stack[-1]
            stack = [*stack[:-1], *written.pushed[number]]
