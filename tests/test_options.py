"""What a suite asks for and an objective cannot do is one line, before the first step."""

from __future__ import annotations

import math

import pytest
from aebench.models.backbones.backbone import scaled
from aebench.models.building import build

pytestmark = pytest.mark.sensitive
LOGIT = 'objective = "vae"\nspace = "logit"\noptions = {{{}}}'
REFUSED = [
    (LOGIT.format("epsilon = true"), "'options.epsilon' is True; expected a number"),
    (LOGIT.format("flow_layers = 2.0"), "'options.flow_layers' is 2.0; expected a whole number"),
    (
        'objective = "aef-linear"\noptions = {core_network = "abc"}',
        "'core_network' is 'abc'; expected a torch module",
    ),
    (
        'objective = "aef-corner"\nspace = "logit"\noptions = {mask = [0, 1, 2]}',
        "'mask' is 0; expected a list of whole numbers",
    ),
    (LOGIT.format("samples = true"), "'options.samples' is True; expected a whole number"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED)
def test_an_option_that_cannot_be_used_is_one_line(given, told, suite_file, aebench):
    code, said = aebench(suite_file(('objective = ["ae", "vae"]', given)), "--dry-run")
    assert code == 2 and told in said and said.count("\n") == 1


def test_a_whole_number_stands_for_a_number_in_each_space(suite_file, aebench):
    given = ('objective = ["ae", "vae"]', LOGIT.format("decoder_rho = 1, epsilon = 0"))
    code, said = aebench(suite_file(given), "--dry-run")
    assert code == 0, said
    sizes = {"backbone": "tiny", "image_shape": (1, 8, 8), "latent_dim": 2, "space": "logit"}
    whole, real = (build("vae", **sizes, decoder_rho=rho).decoder_rho for rho in (1, 1.0))
    assert whole.dtype == real.dtype and bool((whole == real).all())


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        ('objective = "wae-mmd"', "'wae-mmd' got a batch of 1; expected at least 2 images"),
        ('objective = "vae-iaf"\nlatent_dim = 1', "ActNorm got a first batch of 1 value"),
        (
            'objective = "vae"\ndataset = "expressions"\nbackbone = "grammar-gru"',
            "Expected more than 1 value per channel when training",
        ),
        ('objective = "ae"', ""),
    ],
)
def test_a_batch_of_one_is_refused_where_a_loss_needs_more(runs, told, suite_file, aebench):
    text = "[training]\nsteps = 8\nbatch_size = 1\ntrain_images = 100\n[evaluation]\nimages = 20\n"
    usual = {"dataset": '"digits"', "backbone": '"tiny"', "latent_dim": "3"}
    lines = [f"{k} = {v}" for k, v in usual.items() if k not in runs]
    text += "\n".join(["metrics = []", "features = []", "[[runs]]", runs, *lines])
    code, said = aebench(suite_file(text=f'title = "One"\n{text}\n'), "--dry-run")
    assert code == (2 if told else 0) and told in said and "Traceback" not in said
    assert not told or "'training.batch_size' is 1; expected more" in said


def test_a_mask_within_a_list_is_that_of_one_run(suite_file, aebench):
    given = 'objective = "aef-corner"\nspace = "logit"\noptions = {mask = [[0, 1, 2]]}'
    code, said = aebench(suite_file(('objective = ["ae", "vae"]', given)), "--dry-run")
    assert code == 0, said


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(
    ("objective", "option"),
    [("cv-vae", "sigma"), ("cv-vae", "beta"), ("aef-linear", "epsilon"), ("rae-gp", "gp")],
)
def test_a_weight_or_scale_that_is_not_finite_is_refused(objective, option, value):
    sizes = {"backbone": "tiny", "image_shape": (1, 8, 8), "latent_dim": 2}
    with pytest.raises(ValueError, match=rf"'{option}' is {value}; expected a .*finite number"):
        build(objective, **sizes, **{option: value})


@pytest.mark.parametrize("width", [math.inf, math.nan])
def test_a_width_that_is_not_finite_is_refused(width):
    with pytest.raises(ValueError, match=f"'width' is {width}; expected a positive, finite"):
        scaled(8, width)
