"""Makes a results folder of many small runs from one real one, to see what a count of runs costs.

    python scripts/many_runs.py FOLDER --runs 10000

Ten seeds of each value of the VAE's decoder_rho. One run is trained; the others are its files
under their own digests, with their own seed, option and recipe, and values moved a little. Files
that say nothing of the run are links to one copy. `aebench run FOLDER/many.toml --out FOLDER`
takes all of them for its own.
"""

from __future__ import annotations

import argparse
import json
import os
import zlib
from pathlib import Path

from aebench.bench.cli.main import main
from aebench.bench.files.storage import canonical_json
from aebench.bench.records.encoding import encode_result
from aebench.bench.records.per_image import read_file, write_per_image
from aebench.bench.records.recipe import recipe_of
from aebench.bench.suites.config import Config
from aebench.bench.suites.suite import load_suite

SEEDS = 10
SUITE = """\
scale = "smoke"
dataset = "fashion-mini"
backbone = "mlp"
backbone_options = {{hidden = 16, layers = 1}}
latent_dim = 4
space = "logit"

[training]
steps = 40
batch_size = 50
train_images = 500

[evaluation]
features = ["pixels"]
metrics = ["reconstruction", "frechet"]
densities = ["prior"]
images = 100
sheet_images = 2
likelihood_images = 10
likelihood_samples = 1000
likelihood_validation_images = 20

[[runs]]
objective = "vae"
seed = {seeds}
options.decoder_rho = {scales}
"""


def make_runs(folder: Path, count: int) -> Path:
    """Makes the folder and returns its suite file; ``count`` is a multiple of ten.

    The first run is trained where it is not there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scales = [round(0.001 * at, 3) for at in range(count // SEEDS)]
    suite = folder / "many.toml"
    suite.write_text(SUITE.format(seeds=list(range(SEEDS)), scales=scales), encoding="utf-8")
    configs = load_suite(str(suite)).configs
    first = folder / "runs" / configs[0].digest
    if not (first / "result.json").is_file():
        only = ["--seeds", "0", "--set", f"options.decoder_rho={scales[0]}"]
        if code := main(["run", str(suite), "--out", str(folder), "--quiet", *only]):
            raise SystemExit(code)
    document = json.loads((first / "result.json").read_text(encoding="utf-8"))
    for config in configs[1:]:
        _copy(first, config, document)
    return suite


def _copy(first: Path, config: Config, document: dict) -> None:
    run = first.parent / config.digest
    run.mkdir(exist_ok=True)
    made = document["origin"]
    changed = {"options": config.options}
    settings = document["settings"] | changed
    moved = zlib.crc32(config.digest.encode()) / 2**32
    own = {"run": config.digest, "seed": config.seed, "recipe": recipe_of(settings)}
    own["variant"] = canonical_json(config.options)
    rows = [
        row | own | ({} if row["value"] is None else {"value": row["value"] + moved})
        for row in document["rows"]
    ]
    origin = made | {"config": json.loads(canonical_json(config.training_record()))}
    origin["hyperparameters"] = made["hyperparameters"] | config.options
    (run / "result.json").write_text(encode_result(config.digest, rows, settings, origin))
    described = {k: v for k, v in origin.items() if k not in ("evaluation", "weights")}
    (run / "config.json").write_text(canonical_json(described))
    scores = read_file(first / "likelihoods.npz")
    own_scores = {key._replace(run=config.digest): score for key, score in scores.items()}
    if own_scores:
        write_per_image(run / "likelihoods.npz", own_scores)
    names = ("checkpoint.safetensors", "densities.safetensors", "arrays.npz", "log.jsonl")
    for name in (*names, "evaluation.json", "samples.png"):
        if (first / name).is_file() and not (run / name).exists():
            os.link(first / name, run / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    given = parser.parse_args()
    make_runs(given.folder, given.runs)
