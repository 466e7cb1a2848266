"""Autoencoders that come with their weights: whole runs, equality with a run of ours, refusals."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from aebench.bench.cli.main import main
from aebench.bench.comparison.columns import columns_of, with_places
from aebench.bench.data.dataset import load_dataset
from aebench.bench.evaluation.metric_lookup import metrics
from aebench.bench.records.code import training_code
from aebench.bench.records.results import read_results
from aebench.bench.runs import plugins, runner
from aebench.bench.tables.boards import board_entries
from aebench.models import AUTOENCODERS, build
from aebench.models.backbones.pretrained import pretrained_backbone
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderTiny
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r'```(\w*)(?: title="(.+?)")?\n(.*?)```', re.DOTALL)
TWO = {"block_out_channels": (8, 8), "norm_num_groups": 4, "latent_channels": 2}
LEVELS = {
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
}
# Of the same small sizes on both sides.
TINY = {
    f"{side}_{key}": value
    for side in ("encoder", "decoder")
    for key, value in {"block_out_channels": (8, 8)}.items()
}
DEEP = {
    **{f"{side}_block_types": ("ResBlock",) * 2 for side in ("encoder", "decoder")},
    **{f"{side}_layers_per_block": (1, 1) for side in ("encoder", "decoder")},
    **{f"{side}_qkv_multiscales": ((), ()) for side in ("encoder", "decoder")},
}
GIVEN = """
dataset = "digits"
objective = "pretrained"
backbone = "BACKBONE"
latent_dim = 32
[training]
steps = 0
train_images = 100
[evaluation]
metrics = ["reconstruction", "psnr", "frechet", "prd", "latent-use"]
features = ["pixels"]
densities = ["prior", "gaussian", "low-rank-3", "low-rank-64-gmm-2"]
images = 20
sheet_images = 4
[[runs]]
seed = 0
"""


def kl(channels=1):
    return AutoencoderKL(in_channels=channels, out_channels=channels, **TWO, **LEVELS)


def tiny(channels=1):
    blocks = {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1), "latent_channels": 2}
    return AutoencoderTiny(in_channels=channels, out_channels=channels, **TINY, **blocks)


def deep(channels=1):
    kinds = {"upsample_block_type": "interpolate", "downsample_block_type": "conv"}
    sizes = {"latent_channels": 8, "attention_head_dim": 4}
    return AutoencoderDC(in_channels=channels, **sizes, **TINY, **DEEP, **kinds)


@pytest.fixture
def saved(tmp_path):
    """Returns a function that saves a model of diffusers with random weights beside the suite."""

    def save(model, name="given", **options):
        torch.manual_seed(1)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
        model.save_pretrained(str(tmp_path / name), **options)
        return model.eval()

    return save


@pytest.fixture
def entry(monkeypatch):
    """Registers an autoencoder for the length of a test."""
    AUTOENCODERS.names()
    monkeypatch.setattr(AUTOENCODERS, "_entries", dict(AUTOENCODERS._entries))
    return AUTOENCODERS.register


def rows_of(out: Path) -> list[dict[str, object]]:
    found = []
    for path in sorted(out.glob("runs/*/result.json")):
        found += json.loads(path.read_text(encoding="utf-8"))["rows"]
    return [row for row in found if row["backbone"]]  # Real images have none.


RANGE = {"input_range": [0, 1]}


class Plain(torch.nn.Module):
    """A layer, and images that lack a column unless they are whole."""

    def __init__(self, channels=3, *, whole=False):
        super().__init__()
        self.layer = torch.nn.Conv2d(channels, channels, 1)
        self.start = 0 if whole else 1

    def encode(self, images):
        return self.layer(images)

    def decode(self, codes):
        return codes[..., self.start :]


# A folder of diffusers, end to end


@pytest.mark.parametrize(("make", "codes"), [(kl, "latent_dist"), (tiny, "latents")])
def test_a_saved_model_is_scored_on_all_that_it_makes(
    make, codes, saved, suite_file, aebench, tmp_path
):
    model, suite = saved(make()), suite_file(text=GIVEN.replace("BACKBONE", "diffusers:given"))
    assert aebench(suite)[0] == 0
    rows = rows_of(tmp_path / "out")
    assert {r["status"] for r in rows} == {"ok"}
    scored = {(r["images"], r["density"]) for r in rows if r["metric"] == "fd"}
    own = {("sample", d) for d in ("gaussian", "low-rank-3", "low-rank-64-gmm-2")}
    assert scored == {("reconstruction", ""), ("interpolation", ""), *own}
    named = {"psnr", "mse", "prd_f8", "active_units", "effective_rank"}
    assert named <= {r["metric"] for r in rows}
    size = sum(p.numel() for p in model.parameters())
    assert {(r["steps"], r["parameters_backbone"], r["selection"]) for r in rows} == {
        (0, size, "as given")
    }
    # What the library itself gives for the same images.
    data = load_dataset("digits", "default").test[:20].float() / 255
    with torch.no_grad():
        found = model.encode(2 * data - 1)[codes]
        decoded = model.decode(found.mode() if codes == "latent_dist" else found).sample
    errors = (((decoded + 1) / 2).clamp(0, 1) - data).square().mean().item()
    (mse,) = [r["value"] for r in rows if r["metric"] == "mse"]
    assert mse == pytest.approx(errors, rel=1e-5)


def test_a_second_run_computes_nothing_and_other_weights_are_refused_until_asked_for(
    saved, suite_file, aebench, tmp_path
):
    suite = suite_file(text=GIVEN.replace("BACKBONE", "diffusers:given"))
    weights = saved(kl()).state_dict()
    assert aebench(suite)[0] == 0
    before = rows_of(tmp_path / "out")
    assert "1 complete" in aebench(suite)[1] and rows_of(tmp_path / "out") == before
    weights["decoder.conv_out.bias"] += 0.1
    save_file(weights, tmp_path / "given" / "diffusion_pytorch_model.safetensors")
    code, told = aebench(suite)
    assert code == 2 and "another backbone than is here now" in told
    assert aebench(suite, "--rerun-stale")[0] == 0
    after = rows_of(tmp_path / "out")
    assert {r["backbone_hash"] for r in before}.isdisjoint({r["backbone_hash"] for r in after})
    assert {r["recipe"] for r in before}.isdisjoint({r["recipe"] for r in after})
    told = [[r["value"] for r in rows if r["metric"] == "mse"] for rows in (before, after)]
    assert told[0] != told[1]


def test_a_deep_compression_autoencoder_is_read_as_the_library_reads_it(saved, tmp_path):
    model = saved(deep(3))
    given = pretrained_backbone(f"diffusers:{tmp_path / 'given'}", (3, 8, 8), 128, {})
    images = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        codes = model.encode(2 * images - 1).latent
        torch.testing.assert_close(given.encode(images), codes.flatten(1))
        decoded = (model.decode(codes).sample + 1) / 2
        torch.testing.assert_close(given.decode(codes.flatten(1)), decoded)


def test_a_table_never_has_it_in_a_column_with_the_suites_own_networks(
    saved, suite_file, aebench, tmp_path
):
    saved(kl())
    both = GIVEN.replace("BACKBONE", "diffusers:given") + (
        '[[runs]]\nobjective = "ae"\nbackbone = "tiny"\ntraining = {steps = 2, batch_size = 20}\n'
    )
    assert aebench(suite_file(text=both))[0] == 0
    rows = with_places(read_results(tmp_path / "out").rows)
    columns, notes = columns_of(rows[rows["metric"] == "fd"])
    sharing = [set(column.rows["objective"]) & {"ae", "pretrained"} for column in columns]
    assert {"ae"} in sharing and {"pretrained"} in sharing
    assert {"ae", "pretrained"} not in sharing
    assert len([note for note in notes if "has its own columns" in note]) == 2
    # On a board a second one stands beside the first, and neither beside what was trained.
    changes = {"backbone": "diffusers:other", "backbone_hash": "f" * 16, "recipe": "e" * 16}
    given = rows[rows["objective"] == "pretrained"].assign(**changes, run="d" * 16)
    boards: dict[str, list[str]] = {}
    for entry in board_entries(pd.concat([rows, given], ignore_index=True)):
        boards.setdefault(entry["board"], []).append(entry["objective"].partition(" ")[0])
    found = {tuple(sorted(name.rpartition("/")[2] for name in own)) for own in boards.values()}
    assert found == {("ae",), ("diffusers:other", "given")}


# An autoencoder of ours, through the same interface


@pytest.mark.parametrize("objective", [pytest.param("ae", marks=pytest.mark.long), "vae"])
def test_a_model_that_was_trained_here_scores_as_its_run(
    objective, entry, suite_file, aebench, tmp_path
):
    whole = GIVEN.replace("\nimages = 20", "\nimages = 20\nnearest_weight = 0.5")
    trained = whole.replace("BACKBONE", "tiny").replace('"pretrained"', f'"{objective}"')
    trained = trained.replace("steps = 0", "steps = 8\nbatch_size = 20").replace("= 32", "= 3")
    assert aebench(suite_file(text=trained, name="trained"), out=tmp_path / "trained")[0] == 0
    (weights,) = (tmp_path / "trained").glob("runs/*/checkpoint.safetensors")

    @entry("ours")
    def ours():
        model = build(objective, backbone="tiny", image_shape=(1, 8, 8), latent_dim=3)
        model.load_state_dict(load_file(weights))
        return model

    given = whole.replace("BACKBONE", "module:ours").replace("= 32", "= 3")
    given = f"backbone_options = {{input_range = [0, 1]}}\n{given}"
    assert aebench(suite_file(text=given, name="given"), out=tmp_path / "given")[0] == 0
    key = ("metric", "images", "density", "features", "n_real", "n_generated")
    scores = [
        {tuple(r[k] for k in key): (r["value"], r["stderr"]) for r in rows_of(tmp_path / out)}
        for out in ("trained", "given")
    ]
    own = {k: v for k, v in scores[0].items() if k[2] != "prior"}
    assert len(own) > 15 and own == scores[1]
    assert all(value is not None for value, _ in own.values())


def test_scores_are_computed_anew_where_the_code_that_made_it_changed(
    entry, suite_file, aebench, tmp_path, monkeypatch
):
    class Signed(Plain):
        def decode(self, codes):
            return self.layer(codes) * signs[-1]

    entry("signed")(lambda: Signed(1, whole=True))
    text = GIVEN.replace("BACKBONE", "module:signed").replace("= 32", "= 64")
    suite = suite_file(text=f"backbone_options = {{input_range = [0, 1]}}\n{text}")
    found, signs = [], []
    for sign, code in ((1.0, "2-a"), (-1.0, "2-a"), (-1.0, "2-b")):
        monkeypatch.setattr(runner, "training_code", lambda *parts, code=code: code)
        signs.append(sign)
        assert aebench(suite)[0] == 0
        found += [r["value"] for r in rows_of(tmp_path / "out") if r["metric"] == "mse"]
    assert found[0] == found[1] != found[2]


def test_the_package_that_made_a_module_is_part_of_the_code_a_run_depends_on(entry):
    entry("m")(lambda: Plain(whole=True))
    given = pretrained_backbone("module:m", (3, 8, 8), 192, RANGE)
    assert given.origin == __name__
    with_origin = training_code(given)
    given.origin = ""
    assert training_code(given) != with_origin


def test_other_objectives_refuse_an_autoencoder_that_is_given(entry):
    entry("m")(lambda: Plain(whole=True))
    given = pretrained_backbone("module:m", (3, 8, 8), 192, RANGE)
    sizes = {"backbone": given, "image_shape": (3, 8, 8), "latent_dim": 192}
    told = "comes with its weights; expected objective 'pretrained'"
    with pytest.raises(ValueError, match=told):
        build("vae", **sizes)
    with pytest.raises(ValueError, match=told):
        build("ae", **sizes).encode(torch.rand(2, 3, 8, 8))


# What cannot be used


def without_weights(folder):
    (folder / "diffusion_pytorch_model.safetensors").unlink()


def with_pickle(folder):
    without_weights(folder)
    torch.save({}, folder / "diffusion_pytorch_model.bin")


def of_class(name):
    def change(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": name}))

    return change


def with_part_of_the_weights(folder):
    path = folder / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    del weights["decoder.conv_in.bias"]
    save_file(weights, path)


def unreadable(folder):
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"not tensors")


FOLDERS = [
    (shutil.rmtree, r"There is no folder '\S+given'"),
    (without_weights, r"has no 'diffusion_pytorch_model.safetensors': expected safetensors"),
    (with_pickle, r"it holds 'diffusion_pytorch_model.bin', a pickle, which is not read"),
    (of_class("UNet2DModel"), r"is of a 'UNet2DModel'; expected one of: AutoencoderKL, "),
    (lambda f: (f / "config.json").unlink(), r"does not name the class of a diffusers model"),
    (with_part_of_the_weights, r"do not fit its config.json: 1 missing keys, the first 'decoder"),
    (unreadable, r"Folder '\S+given' cannot be read: "),
]


@pytest.mark.parametrize(("spoil", "told"), FOLDERS)
def test_a_folder_that_cannot_be_used_is_one_line(spoil, told, saved, tmp_path):
    saved(kl())
    spoil(tmp_path / "given")
    with pytest.raises(ValueError, match=told) as refused:
        pretrained_backbone(f"diffusers:{tmp_path / 'given'}", (1, 8, 8), 32, {})
    assert "\n" not in str(refused.value)


def test_without_the_extra_the_way_to_get_it_is_said(saved, tmp_path, monkeypatch):
    saved(kl())
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"pip install 'aebench\[diffusers\]'"):
        pretrained_backbone(f"diffusers:{tmp_path / 'given'}", (1, 8, 8), 32, {})


LINES = [
    (
        ("latent_dim = 32", "latent_dim = 5"),
        r"'latent_dim' is 5; the codes .* are 2x4x4, expected 32",
    ),
    (("steps = 0", "steps = 3"), r"'training.steps' is 3 and 'backbone' .* write steps = 0 under"),
    (
        ('"pretrained"', '"vae"'),
        r"'objective' is 'vae' and 'backbone' '\S+'; expected 'pretrained'",
    ),
    (("diffusers:given", "tiny"), r"'backbone' 'tiny'; expected 'pretrained' with a backbone"),
    (
        ("diffusers:given", "folder:given"),
        r"'backbone' is 'folder:\S+'; expected diffusers:FOLDER",
    ),
    (("diffusers:given", "module:nothing"), r"Unknown autoencoder 'nothing'"),
    (("[training]", "backbone_options = {width = 2}\n[training]"), "Unknown option of backbone "),
    (('"gaussian"', '"gmm-200000"'), r"'gmm-200000', whose covariances of 32 values take 1.5 GiB"),
]


@pytest.mark.parametrize(("change", "told"), LINES)
def test_a_suite_that_cannot_be_run_is_one_line(change, told, saved, suite_file, aebench):
    saved(kl())
    text = GIVEN.replace("BACKBONE", "diffusers:given").replace("= 100", "= 0")
    code, said = aebench(suite_file(change, text=text), "--dry-run")
    assert code == 2 and re.search(told, said) and said.count("\n") == 1


def test_images_of_another_channel_count_are_refused(saved, tmp_path):
    saved(kl(3))
    with pytest.raises(ValueError, match=r"takes images of 3 channels; the data's are 1x8x8"):
        pretrained_backbone(f"diffusers:{tmp_path / 'given'}", (1, 8, 8), 32, {})


MODULES = [
    (Plain, (1, 8, 8), RANGE, r"'module:m' does not encode images of 1x8x8: .*channels"),
    (Plain, (3, 8, 8), RANGE, r"decodes images of 3x8x8 to 3x8x7; expected the same size"),
    (Plain, (3, 8, 8), {}, r"'input_range' of backbone 'module:m' is not given; expected two num"),
    (Plain, (3, 8, 8), {"input_range": [1, 1]}, r"'input_range' .* is \[1, 1\]; expected two"),
    (lambda: torch.nn.Linear(2, 2), (3, 8, 8), RANGE, r"does not encode .*no attribute 'encode'"),
    (torch.nn.Identity, (3, 8, 8), RANGE, r"'module:m' has no weights"),
    (lambda: None, (3, 8, 8), RANGE, r"'m' is a 'NoneType'; expected a torch module"),
]


@pytest.mark.parametrize(("maker", "shape", "options", "told"), MODULES)
def test_a_module_that_cannot_be_used_is_one_line(maker, shape, options, told, entry):
    entry("m")(maker)
    with pytest.raises(ValueError, match=told) as refused:
        pretrained_backbone("module:m", shape, 192, options)
    assert "\n" not in str(refused.value)


# What is written about it

FEW = ["evaluation.images=30", "training.train_images=150"]


@pytest.mark.long
def test_the_page_on_pretrained_autoencoders_can_be_followed(entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "_LOADED", {})
    page = (ROOT / "docs" / "pretrained.md").read_text(encoding="utf-8")
    for language, title, block in BLOCK.findall(page):
        if title:
            Path(title).write_text(block, encoding="utf-8")
        elif language == "python":
            exec(block, {})
        for line in block.splitlines() if language == "sh" else []:
            if line.startswith("aebench "):
                few = ["--quiet", "--set", *FEW] if " run " in line else []
                assert main([*line.split()[1:], *few]) == 0
    sys.modules.pop("my_autoencoder")
    for name, latent in (("kl", 392), ("mine", 196)):
        rows = rows_of(tmp_path / "results" / name)
        assert {(r["status"], r["latent_dim"]) for r in rows} == {("ok", latent)}
        assert name == "mine" or "ssim" in {r["metric"] for r in rows}


def test_the_example_of_ten_lines_runs(saved, tmp_path, monkeypatch):
    suite = ROOT / "examples" / "pretrained" / "suite.toml"
    assert len(suite.read_text().splitlines()) <= 10
    shutil.copy(suite, tmp_path)
    blocks = {f"num_{side}_blocks": (1,) * 4 for side in ("encoder", "decoder")}
    sizes = {f"{side}_block_out_channels": (4,) * 4 for side in ("encoder", "decoder")}
    saved(AutoencoderTiny(latent_channels=4, **blocks, **sizes), "taesd")
    (tmp_path / "photos").mkdir()
    draw = np.random.default_rng(0)
    for index in range(200):
        pixels = draw.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{index}.png")
    # PRD alone takes as long as all else, and suits any images.
    others = json.dumps([name for name in metrics() if name != "prd"])
    few = ["--seeds", "0", "--set", "evaluation.images=20", 'evaluation.features=["pixels"]']
    few += [f"evaluation.metrics={others}"]
    suite = str(tmp_path / "suite.toml")
    out = ["--out", str(tmp_path / "out"), "--workers", "1", "--quiet"]
    assert main(["run", suite, *out, *few]) == 0
    rows = rows_of(tmp_path / "out")
    assert {"low-rank-64", "low-rank-64-gmm-10"} < {r["density"] for r in rows}
