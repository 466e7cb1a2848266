"""Synthetic rows and arrays of runs on expressions and molecules; loaded with runpy."""

import runpy
import zlib
from pathlib import Path

import numpy as np

ROWS = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row = ROWS["make_row"]

# Exact strings, validity, score of samples, of a search; best score; latent size and shape.
EXPRESSIONS = {
    "GVAE": ("vae", "", (0.90, 0.99, 4.7, 3.3, 0.39)),
    "CVAE": ("vae", "", (0.80, 0.85, 4.9, 4.7, 0.45)),
    "GRAE": ("rae", "", (0.95, 0.99, 4.7, 3.3, 0.39)),
    "GRAE l2": ("rae-l2", '{"l2":1e-06}', (0.95, 0.98, 4.8, 3.2, 0.38)),
    "GRAE l2 less": ("rae-l2", '{"l2":1e-07}', (0.95, 0.99, 4.7, 3.2, 0.38)),
}
MOLECULES = {
    "GVAE": ("vae", "", (0.3, 0.40, -6.0, -7.9, 3.1)),
    "CVAE": ("vae", "", (0.2, 0.10, -20.0, -25.0, 1.9)),
    "GRAE": ("rae", "", (0.4, 0.60, -5.0, -5.6, 3.7)),
}
TASKS = {
    "expressions": ("expressions", EXPRESSIONS, (15, 12), (19, 15), 25, "lower"),
    "molecules": ("moses-mini", MOLECULES, (160, 76), (64, 35), 56, "higher"),
}
SHARES = ("validity", "uniqueness", "novelty")


def string_rows(task="expressions", seeds=(0, 1, 2), noise=0.01, search=True, **columns):
    """Returns rows in the shape of a structured suite at some scale."""
    data, models, grammar, characters, size, better = TASKS[task]
    rows = []
    for name, (objective, variant, levels) in models.items():
        form = ("-characters", "character-gru", characters) if name[0] == "C" else None
        ending, backbone, (length, symbols) = form or ("", "grammar-gru", grammar)
        for seed in seeds:
            draw = np.random.default_rng(zlib.crc32(f"{task}{name}{seed}".encode()))
            shared = {
                "suite": f"structured-{task}",
                "scale": "small",
                "dataset": f"{data}{ending}",
                "image_shape": f"1x{length}x{symbols}",
                "space": "sequence-released",
                "backbone": backbone,
                "backbone_hash": f"{symbols:02d}" * 32,
                "objective": objective,
                "variant": variant,
                "latent_dim": size,
                "seed": seed,
                "features": "",
                "n_real": 1000,
                "n_generated": 1000,
                "unit": "share",
                "better": "higher",
            } | columns
            rows += model_rows(shared, levels, better, lambda d=draw: noise * d.normal(), search)
    return rows


def model_rows(shared, levels, better, noise, search):
    """Returns the rows of one run."""
    exact, valid, sampled, searched, best = levels
    texts = {"images": "reconstruction", "unit": "share of strings"}
    rows = [make_row(**(shared | texts), metric="exact_strings", value=exact + noise())]
    rows += [make_row(**(shared | texts), metric="symbols_right", value=0.99 + 0.1 * noise())]
    for density in ("prior", "gaussian", "gmm-10"):
        if density == "prior" and shared["objective"] != "vae":
            continue
        place = shared | {"images": "sample", "density": density}
        rows += [make_row(**place, metric=name, value=valid + noise()) for name in SHARES]
        score = place | {"unit": "score", "better": better}
        rows.append(make_row(**score, metric="mean_score", value=sampled + 10 * noise()))
    for density in ("bayesian", "random") if search else ():
        place = shared | {"images": "sample", "density": density, "n_real": None}
        place |= {"n_generated": 50, "stderr": 0.01}
        for name, value in (("validity", valid), ("single_validity", valid - 0.05)):
            rows.append(make_row(**place, metric=name, value=value + noise()))
        score = place | {"unit": "score", "better": better}
        gap = 0.02 if density == "random" else 0.0
        rows.append(make_row(**score, metric="mean_score", value=searched + 10 * noise()))
        step = 0.02 if better == "lower" else -0.3
        for at in range(3):
            value = best + at * step + gap * np.sign(step) + abs(noise())
            rows.append(make_row(**score, metric=f"best_{at + 1}", value=value))
        share = place | {"better": "none"}
        rows.append(make_row(**share, metric="training_share", value=0.7 + noise()))
    return rows


def proper_rows(task="expressions", seeds=(0, 1, 2), **columns):
    """Returns rows of a block in the space with a likelihood."""
    data, _, (length, symbols), _, size, _ = TASKS[task]
    rows = []
    for objective, variant, nats, active in (
        ("vae", "", -11.72, 0),
        ("vae", '{"beta":0.1}', -11.9, 12),
    ):
        for seed in seeds:
            draw = np.random.default_rng(zlib.crc32(f"{objective}{variant}{seed}".encode()))
            shared = {
                "suite": f"structured-{task}",
                "scale": "small",
                "dataset": data,
                "image_shape": f"1x{length}x{symbols}",
                "space": "sequence",
                "backbone": "grammar-gru",
                "backbone_hash": f"{symbols:02d}" * 32,
                "objective": objective,
                "variant": variant,
                "latent_dim": size,
                "seed": seed,
                "features": "",
                "n_generated": None,
            } | columns
            exact = {"images": "reconstruction", "unit": "share", "better": "higher"}
            rows.append(make_row(**shared, **exact, metric="exact_strings", value=0.1))
            use = {"images": "test", "unit": "dimensions", "better": "none"}
            rows.append(make_row(**shared, **use, metric="active_units", value=float(active)))
            own = {
                "images": "test",
                "unit": "nats per string",
                "better": "higher",
                "kind": "lower bound",
                "model": "native",
                "samples_k": 500,
                "ess_median": 41.0,
                "stderr": 0.01,
            }
            value = nats + 0.01 * draw.normal()
            rows.append(make_row(**shared, **own, metric="log_prob", value=value))
    return rows
