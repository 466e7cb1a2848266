"""Scores that say nothing of a model: copies, and what is known against a build."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.records.results import read_results
from aebench.bench.tables.wide import score_tables, wide_tables
from aebench.models import build
from aebench.models.objectives.objective import OBJECTIVES

MAF = (
    ('"ae", "vae"', '"ae", "maf"'),
    ("latent_dim = 3", 'latent_dim = 3\nspace = "logit"'),
    ('["reconstruction"]', '["reconstruction", "frechet"]'),
)


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_an_objective_says_that_it_copies_exactly_where_decoding_undoes_encoding(name):
    small = {"flow_layers": 2, "flow_hidden": 8} if name == "maf" else {}
    model = build(name, backbone="tiny", image_shape=(1, 8, 8), latent_dim=3, seed=0, **small)
    generator = torch.Generator().manual_seed(0)
    x = 0.1 + 0.8 * torch.rand(16, 1, 8, 8, generator=generator)
    model.initialise(x, generator)
    with torch.no_grad():
        copied = torch.allclose(model.eval().decode(model.encode(x)), x, atol=1e-3)
    assert copied == model.copies


def test_scores_of_reconstructions_do_not_apply_to_a_model_without_a_bottleneck(
    suite_file, aebench, tmp_path
):
    settings = 'options = {flow_layers = 2, flow_hidden = 8}\nobjective = "maf"'
    body = Path(suite_file(*MAF)).read_text(encoding="utf-8")
    body += f'[[runs]]\ndataset = "digits"\nbackbone = "tiny"\nlatent_dim = 3\n{settings}\n'
    path = tmp_path / "copies.toml"
    path.write_text(body, encoding="utf-8")
    assert aebench(str(path))[0] == 0
    rows = read_results(tmp_path / "out").rows
    maf = rows[rows["objective"] == "maf"]
    copies = maf[(maf["images"] == "reconstruction") | maf["metric"].isin(["mse"])]
    assert set(copies["metric"]) >= {"fd", "mse"}
    assert set(copies["status"]) == {"not applicable"} and copies["value"].isna().all()
    assert copies["reason"].str.contains("no bottleneck").all()
    assert (rows[rows["objective"] == "ae"]["status"] == "ok").any()
    for table in (next(wide_tables(rows)), next(score_tables(rows))):
        cells = next(cells for label, cells in table.lines if label.startswith("maf"))
        assert cells[0].text == "n/a"


@pytest.mark.parametrize("batch_norm", [True, False])
def test_spectral_norm_without_batch_norm_makes_every_image_alike_and_warns(batch_norm):
    model = build(
        "rae-sn",
        backbone="tiny",
        image_shape=(1, 28, 28),
        latent_dim=16,
        seed=0,
        backbone_options={"batch_norm": batch_norm},
    )
    assert bool(model.warning) != batch_norm


def test_what_is_known_against_a_build_stands_with_each_of_its_scores(
    suite_file, aebench, tmp_path
):
    path = suite_file(('"ae", "vae"', '"rae-sn", "ae"'))
    assert aebench(path)[0] == 0
    rows = read_results(tmp_path / "out").rows
    good = rows[(rows["status"] == "ok") & (rows["objective"] != "floor")]
    warned = good["reason"].str.contains("spectral norm without batch-norm")
    assert (warned == (good["objective"] == "rae-sn")).all() and warned.any()
    assert main(["report", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "tables" / "test-images.md").read_text(encoding="utf-8")
    assert text.count("spectral norm without batch-norm") == 1
