import csv
import json
import re
import runpy
from importlib.resources import files
from pathlib import Path

from aebench.bench.tables.published import (
    NOT_AVAILABLE,
    VALUES,
    published_tables,
    published_values,
)
from aebench.models.objectives.gradient_penalty import DEFAULT

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, likelihood_rows = (
    FACTORY[name] for name in ("frame", "make_row", "likelihood_rows")
)
PAPER = {
    "dataset": "mnist-32",
    "features": "inception:abcdef",
    "n_real": 10000,
    "n_generated": 10000,
    "scale": "full",
    "backbone": "rae-32",
    "steps": 50_000,
}
LARGE = {key: value for key, value in PAPER.items() if key != "dataset"}
LARGE |= {"latent_dim": 128, "steps": 40_000}
FACES = PAPER | {"dataset": "celeba", "backbone": "rae-64", "latent_dim": 64, "steps": 113_890}


def lines_of(rows, **training):
    """Returns the cells of each line; rows are of batches of 100 images where nothing is said."""
    settings = json.dumps({"training": {"batch_size": 100} | training})
    tables = published_tables(frame(rows).assign(settings=settings), {})
    return {label: [cell.text for cell in cells] for t in tables for label, cells in t.lines}


def means_of(rows):
    """Returns our mean of each line by the last parts of its name."""
    [table] = published_tables(frame(rows), {})
    name = re.compile(r".*?, d = \d+, (?:bits_per_dim|fd prior)(?:, )?")
    return {name.sub("", label): cells[1].value for label, cells in table.lines}


def test_table_1_values_are_there_with_their_sources():
    values = {
        (v.dataset, v.objective, v.images, v.density): v
        for v in published_values()
        if v.item == "Table 1"
    }
    assert values["mnist", "vae", "sample", "prior"].value == 19.21
    assert values["celeba", "ae", "sample", "gaussian"].value == 127.85
    assert values["cifar10", "2svae", "sample", "second-stage"].value == 109.77
    assert values["mnist", "wae-mmd", "reconstruction", ""].value == 10.03
    assert len(values) == 105 and not any(v.recalled for v in values.values())
    with (files("aebench.bench.tables") / "assets" / VALUES).open(encoding="utf-8") as file:
        assert all(line["source"] for line in csv.DictReader(file))


def test_the_difference_is_ours_minus_published_under_the_same_protocol():
    rows = [make_row(objective="vae", seed=s, value=v, **PAPER) for s, v in enumerate((18, 20))]
    published, ours, difference, inside, notes = lines_of(rows)[
        "Table 1: mnist-32, vae, reconstruction"
    ]
    assert (published, ours, difference, inside) == ("18.26", "19 ± 13 (2)", "+0.74", "yes")
    assert "overlap" in notes


def test_a_short_training_of_a_narrow_network_gets_no_difference_and_is_said_in_notes():
    narrow = {"backbone": 'rae-32 {"width":0.0625}'}
    whole, short, thin = (
        [make_row(objective="vae", value=193.2, **PAPER | own)]
        for own in ({}, {"steps": 20}, narrow)
    )
    (difference, *_, notes), (of_short, *_, told), (of_thin, *_, network) = (
        next(iter(lines_of(rows).values()))[2:] for rows in (whole, short, thin)
    )
    assert difference == "+174.94" and "published training" not in notes
    assert of_short == "other share of the published training"
    assert "0.04 % of the published training, by examples seen" in told
    assert of_thin == "other network" and "other network: rae-32 (width=0.0625)" in network


def test_the_share_is_of_the_training_that_the_released_code_has_for_an_objective():
    # The released VAE on CelebA: 11,340 steps of 1,000 images.
    own = FACES | {"suite": "rae-table1-celeba-released", "steps": 11_340}
    rows = [make_row(objective="vae", **own)]
    for batch, shown in ((1000, ("+", "-")), (100, "other share")):
        (cells,) = lines_of(rows, batch_size=batch).values()
        assert cells[2].startswith(shown), cells[2]


def test_without_a_batch_size_on_record_there_is_no_difference():
    (cells,) = lines_of([make_row(objective="vae", **PAPER)], batch_size=None).values()
    assert cells[2] == "share of the published training not on record"


def test_few_training_images_are_a_note():
    rows = [make_row(objective="vae", **PAPER)]
    few, all_images = (
        next(iter(lines_of(rows, train_images=count).values()))[4] for count in (1000, 0)
    )
    assert "trained on the first 1,000 images alone" in few and "alone" not in all_images


def test_released_variants_are_compared_with_each_known_deviation_as_a_note():
    settings = {"rae-gp": '{"penalty":"released"}', "ae-l2": '{"l2_kernels":"released"}'}
    suite = {"suite": "rae-table1-mnist-released"}
    rows = [make_row(objective=o, variant=v, **PAPER, **suite) for o, v in settings.items()]
    lines = lines_of(rows)
    gp = lines["Table 1: mnist-32, rae-gp (penalty=released), reconstruction"]
    assert gp[2].startswith(("+", "-")) and "not the Jacobian's norm" in gp[4]
    assert "one learning rate" not in gp[4] and "ours penalises" not in gp[4]
    (l2,) = [cells for what, cells in lines.items() if "ae-l2" in what]
    assert "some decoder kernels only" in l2[4] and "recalled" in l2[2]


def test_what_is_known_of_published_images_stands_only_beside_what_it_is_of():
    rows = [make_row(objective=name, **PAPER) for name in ("vae", "ae")]
    sampled = {"images": "sample", "density": "gmm-10"}
    rows += [make_row(objective="vae", **PAPER, **sampled)]
    lines = {what.partition("mnist-32, ")[2]: line[4] for what, line in lines_of(rows).items()}
    told = {what for what, notes in lines.items() if "decode a random code" in notes}
    assert told == {"vae, reconstruction"}
    told = {what for what, notes in lines.items() if "Dirichlet" in notes}
    assert told == {"vae, sample gmm-10"}
    assert len(lines) == 3 and all("truncated to 8 bits" in notes for notes in lines.values())


def test_reconstructions_of_the_2svae_are_said_to_draw_the_second_stages_code_in_print():
    rows = [make_row(objective=name, **PAPER) for name in ("vae", "2svae")]
    rows += [make_row(objective="2svae", **PAPER, images="sample", density="second-stage")]
    lines = {what.partition("mnist-32, ")[2]: line[4] for what, line in lines_of(rows).items()}
    told = {what for what, notes in lines.items() if "draw the second stage's code" in notes}
    assert told == {"2svae, reconstruction"} and len(lines) == 3


def test_a_published_gaussian_is_not_said_to_lack_the_codes_mean_but_that_it_may():
    sampled = {"images": "sample", "density": "gaussian"}
    cells = lines_of([make_row(objective="ae", **PAPER, **sampled)])
    (notes,) = [line[4] for line in cells.values()]
    assert "published Gaussian may lack the codes' mean; ours has it" in notes


def test_the_encoders_input_is_said_to_differ_on_celeba_alone():
    rows = [make_row(objective="ae", **place) for place in (PAPER, FACES)]
    told = ["encoder sees pixels in [0, 1]" in line[4] for line in lines_of(rows).values()]
    assert sorted(told) == [False, True]


def test_our_weight_of_the_gradient_penalty_is_said_to_be_chosen_here_and_a_released_one_not():
    own = make_row(objective="rae-gp", **PAPER)
    released = make_row(objective="rae-gp", variant='{"penalty":"released"}', **PAPER)
    lines = lines_of([own, released]).items()
    told = {what: f"weight {DEFAULT:g} chosen here" in line[4] for what, line in lines}
    assert sorted(told.values()) == [False, True]
    assert not told["Table 1: mnist-32, rae-gp (penalty=released), reconstruction"]


def test_our_own_settings_name_where_the_released_code_differs():
    cells = lines_of([make_row(objective="rae-gp", dataset="cifar10", **LARGE)])
    (notes,) = [line[4] for line in cells.values()]
    assert "ours penalises the Jacobian's norm" in notes and "penalty weight 0" in notes
    assert "one learning rate and budget for all" in notes


def test_a_variant_of_ours_that_was_never_released_is_not_compared():
    assert lines_of([make_row(objective="vae", variant='{"beta":1.0}', **PAPER)]) == {}


def test_a_row_of_another_latent_size_gets_no_difference():
    (cells,) = lines_of([make_row(objective="ae", **PAPER | {"latent_dim": 2})]).values()
    assert cells[2] == "other latent size: 2; published: 16"


def test_another_network_or_space_is_a_note():
    other = PAPER | {"backbone": "aef-small", "space": "logit"}
    (cells,) = lines_of([make_row(objective="ae", **other)]).values()
    assert "other network: aef-small" in cells[4] and "logit space" in cells[4]


def test_another_identity_is_named_instead_of_a_difference():
    cells = lines_of([make_row(objective="vae", dataset="mnist")])[
        "Table 1: mnist, vae, reconstruction"
    ]
    assert cells[2].startswith("other metric identity: lite0@64:579344248a93, 1000/1000")
    assert "scale small" in cells[4]


def test_a_recalled_value_is_in_brackets_and_never_differenced():
    cells = lines_of([make_row(objective="ae-l2", images="sample", density="gaussian", **PAPER)])
    published, _, difference, _, _ = next(iter(cells.values()))
    assert published == "(315.15)" and difference == "recalled value, not differenced"


def test_aef_values_are_said_not_to_be_available():
    cells = lines_of(likelihood_rows(dataset="kmnist", levels={"aef-center": 4.0}))
    assert [line[0] for line in cells.values()] == [NOT_AVAILABLE]


def test_estimates_of_unlike_samples_or_images_are_never_one_mean():
    level = {"levels": {"aef-linear": 4.0}, "seeds": (0, 1), "dataset": "kmnist"}
    many = likelihood_rows(samples_k=32, n_real=10000, value=4.0, **level)
    few = likelihood_rows(samples_k=500, n_real=1000, value=6.0, **level)
    assert means_of([*many, *few]) == {
        "n_real=10000, samples_k=32": 4.0,
        "n_real=1000, samples_k=500": 6.0,
    }


def test_distances_in_unlike_features_are_never_one_mean():
    own = {"objective": "aef-center", "dataset": "kmnist", "images": "sample", "density": "prior"}
    rows = [
        make_row(seed=seed, features=features, value=value, **own)
        for features, value in (("lite0@64:1", 10.0), ("pixels@28:2", 90.0))
        for seed in (0, 1)
    ]
    assert means_of(rows) == {"features=lite0@64:1": 10.0, "features=pixels@28:2": 90.0}


def test_a_data_set_that_no_paper_used_has_no_comparison():
    assert [*published_tables(frame([make_row(objective="vae")]), {})] == []
