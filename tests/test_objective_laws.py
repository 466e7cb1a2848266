"""What holds for every registered objective, in each of its spaces; no name is typed here."""

from __future__ import annotations

import copy
import itertools
import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from aebench.models import build
from aebench.models.backbones.backbone import BACKBONES, Backbone
from aebench.models.building import build_space, option_defaults
from aebench.models.densities.density import DENSITIES, Density, build_density
from aebench.models.densities.gaussian import FullGaussian
from aebench.models.objectives.gradient_penalty import PENALTIES, batch_norm_by_steps
from aebench.models.objectives.objective import OBJECTIVES, Objective
from aebench.models.sequences.forms import form
from aebench.models.spaces.space import SPACES
from safetensors.torch import load, save
from torch import Tensor

pytestmark = pytest.mark.sensitive
TOLERANCES = runpy.run_path(str(Path(__file__).with_name("tolerances.py")))
float32_slack = TOLERANCES["float32_slack"]
products = TOLERANCES["products"]
LATENT, BATCH = 3, 6
# Values that make any network that has such an option small.
SMALL = {"flow_layers": 2, "flow_hidden": 8}
# Options that add layers to an objective; the backbone must not notice.
ADDING = {"decoder_scale": "dependent", "prior_flow": "maf", "posterior_flow": "maf"}
# The dense network takes vectors, recurrent ones sequences, the others images of a suitable size.
PLACES = {
    "real": ("mlp", (1, 4, 4)),
    "sequence": ("grammar-gru", (1, 15, 12)),
    "sequence-released": ("character-gru", (1, 19, 15)),
}
IMAGES = ("tiny", (1, 8, 8))
NETWORKS = {name: {"width": 0.1} for name in ("sequence", "sequence-released")}
FORMS = {"sequence": "expressions-grammar", "sequence-released": "expressions-characters"}
TEXTS = ["x+1", "sin(x)/2", "exp(x*x)", "1", "x*x+3", "(x)"]

CASES = [(name, space) for name, kind in OBJECTIVES.items() for space in kind.spaces]
every_case = pytest.mark.parametrize(("name", "space"), CASES)
every_objective = pytest.mark.parametrize("name", OBJECTIVES.names())


def noise(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def kind_of(name: str, space: str) -> type[Objective]:
    return OBJECTIVES.get(name).in_space(space)


def assemble(name: str, space: str, seed: int = 0, **options: Any) -> Objective:
    backbone, shape = PLACES.get(space, IMAGES)
    known = option_defaults(kind_of(name, space))
    small = {key: value for key, value in SMALL.items() if key in known}
    return build(
        name,
        backbone=backbone,
        image_shape=shape,
        latent_dim=LATENT,
        seed=seed,
        space=space,
        form=FORMS.get(space, ""),
        backbone_options=NETWORKS.get(space),
        **{**small, **options},
    )


def data(space: str) -> Tensor:
    """Returns training data as the space prepares it: pixels, real numbers or one-hot symbols."""
    shape = PLACES.get(space, IMAGES)[1]
    coordinates = build_space(space, shape, 1e-6, False, FORMS.get(space, ""))
    return coordinates.prepare(stored(space, (BATCH, *shape)), noise(6))


def stored(space: str, shape: tuple[int, ...]) -> Tensor:
    if space in FORMS:
        symbols = [form(FORMS[space]).padded(text, shape[2]) for text in TEXTS]
        return torch.tensor(symbols, dtype=torch.uint8)[:, None, None]
    if space == "real":
        return torch.randn(shape, generator=noise(5))
    return torch.randint(0, 256, shape, generator=noise(5), dtype=torch.uint8)


def ready(name: str, space: str, **options: Any) -> Objective:
    """Returns an objective as training finds it after the first batch."""
    objective = assemble(name, space, **options)
    objective.initialise(data(space), noise(1))
    return objective


def density_of(objective: Objective, space: str) -> Density:
    density = FullGaussian()
    with torch.no_grad():
        density.fit(objective.encode(data(space)), seed=0)
    return density


def outputs(objective: Objective, space: str) -> dict[str, Tensor]:
    """Returns everything that a checkpoint must bring back."""
    with torch.no_grad():
        x, codes = data(space), objective.encode(data(space))
        terms = objective.terms(x, noise(2))
        return {"codes": codes, "images": objective.decode(codes), **terms}


def backbone_state(name: str, space: str, **options: Any) -> dict[str, Tensor]:
    state = assemble(name, space, **options).state_dict()
    return {k: v for k, v in state.items() if k.startswith("backbone.")}


def assert_same(state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(state) == list(expected)
    for key, value in expected.items():
        torch.testing.assert_close(state[key], value, rtol=0, atol=0, msg=f"{key} differs")


# Fairness


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("space", SPACES.names())
def test_backbones_have_the_same_keys_shapes_and_initial_values(space, seed):
    names = [name for name, where in CASES if where == space]
    reference = backbone_state(names[0], space, seed=seed)
    assert len(reference) > 4
    for name in names[1:]:
        assert_same(backbone_state(name, space, seed=seed), reference)


@every_case
def test_another_seed_gives_other_initial_values(name, space):
    first, second = (backbone_state(name, space, seed=seed) for seed in (0, 1))
    kernels = [key for key, value in first.items() if value.dim() > 1]
    assert kernels
    assert not any(torch.equal(first[key], second[key]) for key in kernels)


@every_case
def test_added_layers_and_initialisation_leave_the_backbone_alone(name, space):
    reference = backbone_state(name, space)
    known = option_defaults(kind_of(name, space))
    for key, value in ADDING.items():
        if key in known:
            assert_same(backbone_state(name, space, **{key: value}), reference)
    state = ready(name, space).state_dict()
    assert_same({k: v for k, v in state.items() if k.startswith("backbone.")}, reference)


@pytest.mark.parametrize("space", SPACES.names())
def test_structure_hash_is_that_of_the_bare_backbone(space):
    backbone, shape = PLACES.get(space, IMAGES)
    kind = BACKBONES.get(backbone)
    small = NETWORKS.get(space, {})
    expected = kind(shape, LATENT, **small).structure_hash()
    names = [name for name, where in CASES if where == space]
    assert {assemble(name, space).backbone.structure_hash() for name in names} == {expected}
    assert kind(shape, LATENT + 1, **small).structure_hash() != expected


@every_case
def test_building_draws_nothing_from_the_global_generator(name, space):
    before = torch.get_rng_state()
    assemble(name, space)
    assert torch.equal(torch.get_rng_state(), before)


@every_case
def test_training_step_draws_nothing_from_the_global_generator(name, space):
    objective = ready(name, space)
    before = torch.get_rng_state()
    objective.terms(data(space), noise())
    objective.sample(2, noise(), density_of(objective, space))
    assert torch.equal(torch.get_rng_state(), before)


# The loss


@every_case
def test_terms_are_finite_one_for_each_image_and_sum_to_the_loss(name, space):
    objective = ready(name, space).eval()
    terms = objective.terms(data(space), noise(4))
    assert terms
    for term, value in terms.items():
        assert value.shape == (BATCH,), term
        assert bool(value.isfinite().all()), term
    total, size = torch.zeros(BATCH), torch.zeros(BATCH)
    for value in terms.values():
        total, size = total + value, size + value.detach().abs()
    atol = float32_slack(size.max(), len(terms))
    torch.testing.assert_close(objective.loss(data(space), noise(4)), total, rtol=0, atol=atol)


@every_case
def test_every_trained_parameter_gets_a_finite_gradient(name, space):
    objective = ready(name, space).train()
    trained = {n: p for n, p in objective.named_parameters() if p.requires_grad}
    assert trained
    objective.loss(data(space), noise()).mean().backward()
    assert [n for n, p in trained.items() if p.grad is None] == []
    assert [n for n, p in trained.items() if not bool(p.grad.isfinite().all())] == []


@every_case
def test_a_few_steps_lower_the_loss(name, space):
    objective = ready(name, space).train()
    optimiser = torch.optim.Adam(objective.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = objective.loss(data(space), noise(0)).mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


# Codes and samples


@every_case
def test_codes_are_deterministic_and_each_of_its_own_image(name, space):
    objective = ready(name, space).eval()
    with torch.no_grad():
        codes = objective.encode(data(space))
        assert codes.shape == (BATCH, objective.code_dim)
        assert_same_network(objective, objective.encode(data(space)[2:4]), codes[2:4])
        assert float((codes[0] - codes[1]).abs().max()) > 0
        images = objective.decode(codes)
        assert_same_network(objective, objective.decode(codes[2:4]), images[2:4])
    assert images.shape == data(space).shape


def assert_same_network(network: torch.nn.Module, found: Tensor, expected: Tensor) -> None:
    """Compares outputs for batches of other sizes, whose sums are taken in another order."""
    size = float(expected.square().mean().sqrt())
    torch.testing.assert_close(
        found, expected, rtol=0, atol=float32_slack(size, products(network))
    )


def assert_images(images: Tensor, space: str, count: int) -> None:
    assert images.shape == (count, *PLACES.get(space, IMAGES)[1])
    assert images.dtype == torch.float32
    assert bool(images.isfinite().all())
    if space != "real" and space not in FORMS:
        assert 0 <= float(images.min()) <= float(images.max()) <= 1


@every_case
def test_samples_are_images_and_repeat_under_a_generator(name, space):
    objective = ready(name, space).eval()
    sources: list[Density | None] = [density_of(objective, space)]
    if objective.prior == "prior":
        sources.append(None)
    with torch.no_grad():
        for density in sources:
            first, again, other = (objective.sample(4, noise(seed), density) for seed in (8, 8, 9))
            assert_images(first, space, 4)
            assert torch.equal(first, again)
            assert not torch.equal(first, other)
            assert not torch.equal(first[0], first[1])


@every_objective
def test_prior_is_none_or_a_density(name):
    kind = OBJECTIVES.get(name)
    assert kind.prior == "" or kind.prior in DENSITIES.names()
    assert set(kind.spaces) <= set(SPACES.names())
    assert kind.default_space in kind.spaces


@every_objective
def test_no_sample_without_a_prior_or_a_density(name):
    space = OBJECTIVES.get(name).default_space
    objective = ready(name, space).eval()
    if objective.prior != "prior":
        with pytest.raises(ValueError, match="samples from a fitted density and got none"):
            objective.sample(1, noise())


# Likelihoods


@every_case
def test_log_prob_is_there_if_and_only_if_the_likelihood_is_exact(name, space):
    objective = ready(name, space).eval()
    assert objective.likelihood in ("exact", "bound", "none")
    assert hasattr(objective, "log_prob") == (objective.likelihood == "exact")
    if objective.likelihood == "exact":
        log_prob = objective.log_prob(data(space))
        assert log_prob.shape == (BATCH,)
        assert bool(log_prob.isfinite().all())


@every_case
def test_bound_has_an_observation_and_a_proposal(name, space):
    objective = ready(name, space).eval()
    if objective.likelihood == "bound":
        with torch.no_grad():
            q = objective.proposal(data(space))
            z = q.mean if type(q).__name__ == "Independent" else objective.encode(data(space))
            log_q, observed = q.log_prob(z), objective.observation(z)
            log_p = observed.log_prob(objective.space(data(space))[0])
        assert log_q.shape == log_p.shape == objective.latent_log_prob(z).shape == (BATCH,)
        assert bool((log_q.isfinite() & log_p.isfinite()).all())
    elif objective.likelihood == "none":
        with pytest.raises(TypeError, match="has no observation model"):
            objective.observation(torch.zeros(1, LATENT))


# Checkpoints


@every_case
def test_a_saved_objective_gives_the_same_output_when_loaded(name, space):
    trained = ready(name, space).train()
    for _ in range(2):
        trained.loss(data(space), noise()).mean().backward()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=noise(3)))
    expected = outputs(trained.eval(), space)
    restored = assemble(name, space, seed=11)
    tensors = {k: v.clone().contiguous() for k, v in trained.state_dict().items()}
    restored.load_state_dict(load(save(tensors)))
    found = outputs(restored.eval(), space)
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@every_case
def test_evaluation_changes_nothing_that_a_checkpoint_holds(name, space):
    objective = ready(name, space).eval()
    before = copy.deepcopy(objective.state_dict())
    outputs(objective, space)
    assert_same(objective.state_dict(), before)


# Options


@every_objective
def test_an_unknown_option_is_refused_with_the_near_match(name):
    space = OBJECTIVES.get(name).default_space
    known = sorted(option_defaults(kind_of(name, space)))
    for option in known[:2]:
        with pytest.raises(ValueError, match=rf"Unknown option of objective '{name}' '{option}_'"):
            assemble(name, space, **{f"{option}_": 1})
        with pytest.raises(ValueError, match=rf"Did you mean '\w+'\? Known: {known[0]}"):
            assemble(name, space, **{f"{option}_": 1})
    with pytest.raises(ValueError, match=r"Unknown option of objective .*'zzzzzz'\. Known:"):
        assemble(name, space, zzzzzz=1)


@every_objective
def test_a_space_that_is_not_its_own_is_refused(name):
    with pytest.raises(ValueError, match=r"'space' is 'nowhere', in which .* is not defined"):
        OBJECTIVES.get(name).in_space("nowhere")


@every_case
def test_every_option_is_in_force_and_on_record(name, space):
    objective = assemble(name, space)
    assert set(objective.hyperparameters) == set(option_defaults(type(objective)))
    for value in objective.hyperparameters.values():
        assert value is None or isinstance(value, int | float | str | bool)


@pytest.mark.parametrize("latent_dim", [0, -2, 65])
def test_a_latent_size_that_does_not_fit_is_refused(latent_dim):
    name = OBJECTIVES.names()[0]
    with pytest.raises(ValueError, match=f"'latent_dim' is {latent_dim}; expected at "):
        build(name, backbone=IMAGES[0], image_shape=IMAGES[1], latent_dim=latent_dim)


def test_a_backbone_already_built_is_taken_as_it_is_or_refused():
    sizes = {"image_shape": (1, 8, 8), "latent_dim": 3}
    made = build("ae", backbone="tiny", **sizes).backbone
    assert build("vae", backbone=made, **sizes).backbone is made
    given = [
        ({"image_shape": (1, 8, 16)}, r"expected \(1, 8, 16\) and 3\.$"),
        ({"latent_dim": 4}, r"was built for .*\(1, 8, 8\) and 'latent_dim' 3; .* and 4\.$"),
        ({"backbone_options": {"width": 2.0}}, "'backbone_options' is .*; expected none"),
    ]
    for other, told in given:
        with pytest.raises(ValueError, match=told):
            build("vae", backbone=made, **{**sizes, **other})


# Backbones


def backbone_options(kind: type[Backbone]) -> dict[str, Any]:
    """Returns options that make the networks small, for any backbone that has them."""
    known = option_defaults(kind)
    width = {"width": 1 / 64} if "width" in known else {}
    return {**width, **{k: v for k, v in {"hidden": 8}.items() if k in known}}


def backbone_of(name: str, channels: int = 1, latent_dim: int = LATENT, **more: Any) -> Backbone:
    kind = BACKBONES.get(name)
    torch.manual_seed(0)
    return kind(shape_of(name, channels), latent_dim, **{**backbone_options(kind), **more})


def shape_of(name: str, channels: int) -> tuple[int, int, int]:
    """Returns a shape of so many channels; sequences have one, and so many times the symbols."""
    return (1, 32, 32 * channels) if BACKBONES.get(name).sequences else (channels, 32, 32)


every_backbone = pytest.mark.parametrize("name", BACKBONES.names())


@every_backbone
@pytest.mark.parametrize(("channels", "latent_dim"), [(1, 1), (3, 7)])
def test_backbone_takes_any_channel_count_and_latent_size(name, channels, latent_dim):
    backbone = backbone_of(name, channels, latent_dim).eval()
    images = torch.rand(2, *shape_of(name, channels), generator=noise())
    codes = backbone.encode(images)
    assert codes.shape == (2, latent_dim)
    assert backbone.decode(codes).shape == images.shape
    features = backbone.encoder(images)
    assert backbone.code_head()(features).shape == codes.shape
    assert backbone.output_head()(backbone.decoder(codes)).shape == images.shape


def assert_affine(layer: torch.nn.Module, a: Tensor, b: Tensor) -> None:
    mixed, apart = layer(0.3 * a + 0.7 * b), 0.3 * layer(a) + 0.7 * layer(b)
    size = float(torch.stack([layer(a), layer(b)]).abs().max())
    atol = float32_slack(size, products(layer) + 5)
    torch.testing.assert_close(mixed, apart, rtol=0, atol=atol)


@every_backbone
def test_code_and_last_layer_are_linear_and_heads_are_new_layers_of_their_form(name):
    backbone = backbone_of(name, 3).eval()
    with torch.no_grad():
        features = backbone.encoder(torch.rand(2, *shape_of(name, 3), generator=noise()))
        hidden = backbone.decoder(torch.randn(2, LATENT, generator=noise()))
        assert_affine(backbone.code, *(5 * features).split(1))
        assert_affine(backbone.output, *(5 * hidden).split(1))
    for head, layer in (
        (backbone.code_head(), backbone.code),
        (backbone.output_head(), backbone.output),
    ):
        shapes = [tuple(p.shape) for p in layer.parameters()]
        assert [tuple(p.shape) for p in head.parameters()] == shapes
        assert not {id(p) for p in head.parameters()} & {id(p) for p in backbone.parameters()}


@every_backbone
def test_backbone_options_change_the_structure_hash(name):
    known = option_defaults(BACKBONES.get(name))
    plain = backbone_of(name)
    assert backbone_of(name).structure_hash() == plain.structure_hash()
    hashes = {plain.structure_hash(), backbone_of(name, latent_dim=4).structure_hash()}
    hashes.add(backbone_of(name, channels=3).structure_hash())
    assert len(hashes) == 3
    if "width" in known:
        wider = backbone_of(name, width=0.5)
        assert wider.structure_hash() not in hashes
        assert len(wider.state_dict()) >= len(plain.state_dict())
        with pytest.raises(ValueError, match="'width' is 0; expected a positive, finite number"):
            backbone_of(name, width=0)
    if "batch_norm" in known:
        on, off = (backbone_of(name, batch_norm=switch) for switch in (True, False))
        assert any("running_mean" in key for key in on.state_dict())
        assert not any("running_mean" in key for key in off.state_dict())
        assert on.structure_hash() != off.structure_hash()


@every_backbone
def test_an_unknown_backbone_option_is_refused_with_the_near_match(name):
    option = sorted(option_defaults(BACKBONES.get(name)))[0]
    with pytest.raises(ValueError, match=rf"option of backbone '{name}'.*Did you mean '{option}'"):
        build(
            OBJECTIVES.names()[0],
            backbone=name,
            image_shape=(1, 32, 32),
            latent_dim=LATENT,
            backbone_options={f"{option}s": 1},
        )


@every_objective
def test_objective_runs_with_batch_norm_and_three_channels(name):
    kind = OBJECTIVES.get(name)
    known = option_defaults(kind.in_space(kind.default_space))
    objective = build(
        name,
        backbone=IMAGES[0],
        image_shape=(3, 8, 8),
        latent_dim=LATENT,
        backbone_options={"batch_norm": True, "width": 0.25},
        **{key: value for key, value in SMALL.items() if key in known},
    )
    x = torch.rand(BATCH, 3, 8, 8, generator=noise())
    objective.initialise(x, noise())
    assert bool(objective.train().loss(x, noise()).isfinite().all())
    assert bool(objective.eval().loss(x, noise()).isfinite().all())


def test_prior_of_each_objective_can_be_built_as_a_density():
    for prior in {kind.prior for _, kind in OBJECTIVES.items()} - {""}:
        assert isinstance(build_density(prior), Density)


def _network_with_batch_norm(name):
    options = {"backbone": "rae-32", "backbone_options": {"width": 1 / 64}}
    objective = build(name, image_shape=(1, 32, 32), latent_dim=4, seed=0, **options)
    x = torch.rand(20, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return objective.train(), x


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_a_gradient_penalty_does_not_pull_at_the_scale_of_a_kernel_before_batch_norm(penalty):
    objective, x = _network_with_batch_norm("rae-gp")
    objective.gp.kind = penalty
    z = objective.encode(x).detach()
    noise = torch.Generator().manual_seed(1)
    value = objective.gp(objective.mean, objective.backbone, z, noise)[1].sum()
    value.backward()
    layers = list(objective.backbone.decoder)
    kernels = [
        layer.weight
        for layer, after in itertools.pairwise(layers)
        if isinstance(after, torch.nn.BatchNorm2d)
    ]
    assert len(kernels) == 2
    for kernel in kernels:
        # What does not depend on the scale of w has w' grad = 0; batch-norm's epsilon is small.
        along = (kernel * kernel.grad).sum() / (kernel.norm() * kernel.grad.norm())
        assert along.abs().item() < 0.02


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
@pytest.mark.parametrize("name", ["rae-gp", "rae-sn-gp"])
def test_a_gradient_penalty_decodes_and_counts_the_batch_once_as_without_it(name, penalty):
    objective, x = _network_with_batch_norm(name)
    plain, _ = _network_with_batch_norm(name)
    objective.gp.kind, plain.gp.weight = penalty, 0.0
    terms = objective.terms(x, torch.Generator().manual_seed(1))
    assert "gradient" in terms
    expected = plain.terms(x, torch.Generator().manual_seed(1))
    assert expected.keys() == terms.keys() - {"gradient"}
    for term, value in expected.items():
        # A sum of squares over the pixels, over which errors of the network average out.
        rtol = float32_slack(1, x[0].numel())
        torch.testing.assert_close(terms[term], value, rtol=rtol, atol=0)
    found = dict(objective.backbone.named_buffers())
    assert any(key.endswith("running_var") for key in found)
    for key, value in plain.backbone.named_buffers():
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("penalty", sorted(PENALTIES))
def test_a_gradient_penalty_is_the_same_where_no_graph_is_kept(penalty):
    objective, x = _network_with_batch_norm("rae-gp")
    objective.eval().gp.kind = penalty
    terms = objective.terms(x, torch.Generator().manual_seed(1))
    with torch.no_grad():
        alone = objective.terms(x, torch.Generator().manual_seed(1))
    for term, value in alone.items():
        assert not value.requires_grad
        torch.testing.assert_close(value, terms[term].detach())


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("kind", "shape"), [("1d", (12, 5)), ("1d", (12, 5, 3)), ("2d", (6, 5, 3, 2)),
                        ("3d", (6, 5, 3, 2, 2))],
)  # fmt: skip
def test_batch_norm_by_steps_is_batch_norm(kind, shape, affine):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    layers = [getattr(torch.nn, f"BatchNorm{kind}")(5, affine=affine).double() for _ in range(2)]
    if affine:
        with torch.no_grad():
            for layer in layers:
                layer.weight.copy_(torch.arange(5) + 0.5)
                layer.bias.copy_(torch.arange(5) - 2)
    with batch_norm_by_steps(layers[0]):
        found = layers[0](x), layers[0](x)
    torch.testing.assert_close(found[0], layers[1](x))
    torch.testing.assert_close(found[1], found[0])
    for key, value in layers[1].state_dict().items():
        torch.testing.assert_close(layers[0].state_dict()[key], value, msg=key)
    assert layers[0].num_batches_tracked == 1
    for layer in layers:
        layer.eval()
    with batch_norm_by_steps(layers[0]):
        torch.testing.assert_close(layers[0](x), layers[1](x))
