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


def string_rows(task="expressions", seeds=(0, 1, 2), noise=0.01, only="", **columns):
    """Returns rows in the shape of a structured suite; of models that begin with ``only``."""
    data, models, grammar, characters, _, better = TASKS[task]
    rows = []
    for name, (objective, variant, levels) in models.items():
        if not name.startswith(only):
            continue
        form = ("-characters", "character-gru", characters) if name[0] == "C" else None
        ending, backbone, (length, symbols) = form or ("", "grammar-gru", grammar)
        for seed in seeds:
            draw = np.random.default_rng(zlib.crc32(f"{task}{name}{seed}".encode()))
            shared = (
                method_columns(task, (length, symbols), objective, variant, seed)
                | {
                    "dataset": f"{data}{ending}",
                    "space": "sequence-released",
                    "backbone": backbone,
                    "n_real": 1000,
                    "n_generated": 1000,
                    "unit": "share",
                    "better": "higher",
                }
                | columns
            )
            rows += model_rows(shared, levels, better, lambda d=draw: noise * d.normal())
    return rows


def method_columns(task, shape, objective, variant, seed):
    """Returns what all rows of a run on sequences of T steps and K symbols say."""
    length, symbols = shape
    return {
        "suite": f"structured-{task}",
        "scale": "small",
        "image_shape": f"1x{length}x{symbols}",
        "backbone_hash": f"{symbols:02d}" * 32,
        "objective": objective,
        "variant": variant,
        "latent_dim": TASKS[task][4],
        "seed": seed,
        "features": "",
    }


def model_rows(shared, levels, better, noise):
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
    for density in ("bayesian", "random"):
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
    data, _, (length, symbols), *_ = TASKS[task]
    rows = []
    for objective, variant, nats, active in (
        ("vae", "", -11.72, 0),
        ("vae", '{"beta":0.1}', -11.9, 12),
    ):
        for seed in seeds:
            draw = np.random.default_rng(zlib.crc32(f"{objective}{variant}{seed}".encode()))
            shared = (
                method_columns(task, (length, symbols), objective, variant, seed)
                | {
                    "dataset": data,
                    "space": "sequence",
                    "backbone": "grammar-gru",
                    "n_generated": None,
                }
                | columns
            )
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


# What runs write: each run takes these in an order of its own.
TEXTS = {
    "expressions": (
        *("1/3+(x)+sin(x*x)", "x/1+sin(3)+sin(x*x)", "sin(3)+x", "x+1/exp(1)", "3*x+(1)+exp(2/x)"),
        *("1+2+sin(x)+sin(x)", "x*1+exp(x)+sin(3*1)", "2/2+(x)+3", "x/3+sin(x)+(x/x)"),
    ),
    "molecules": (
        *("CCCCCCCCCC", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "COc1ccc(C2CC2)cc1NC(=O)C1CCCO1"),
        *("CN1CCC(NC(=O)c2ccc(F)cc2)CC1", "O=C(Nc1cccnc1)C1CCN(Cc2ccco2)CC1", "CCO", "C1CC1N"),
    ),
}
# Scores of the first texts, in their order.
SCORES = {
    "expressions": (0.0, 0.03628, 0.43035, 0.38921, 3.1, 3.2),
    "molecules": (3.539, 2.095, 1.137, 0.9, 0.8, 0.7),
}


def text_arrays(row, task, steps=7):
    """Returns the arrays of a run as it saves them: symbols, uint8, and the scores of some."""
    from aebench.bench.data.dataset import find_source
    from aebench.models.sequences.forms import form

    source = find_source(row["dataset"])
    writing, length = form(source.form), source.image_shape[1]
    texts = TEXTS[task]
    draw = np.random.default_rng(zlib.crc32(f"{row['objective']}{row['seed']}".encode()))

    def some(count):
        chosen = [texts[at % len(texts)] for at in draw.permutation(max(count, len(texts)))]
        return np.array([writing.padded(text, length) for text in chosen[:count]], np.uint8)

    found = texts[row["seed"] : row["seed"] + 3]
    best = np.array([writing.padded(text, length) for text in found], np.uint8)
    scores = np.array([SCORES[task][row["seed"] + at] for at in range(3)])
    unended = np.full((1, length), writing.padding, np.uint8)
    return {
        "texts_test": np.array([writing.padded(t, length) for t in texts], np.uint8),
        "texts_reconstruction": some(8),
        "texts_sample_gaussian": np.concatenate([some(7), unended]),
        "texts_sample_gmm-10": some(20),
        "texts_interpolation": np.stack([some(steps) for _ in range(8)]),
        "texts_neighbours": some(1 + 2 * steps),
        "best_bayesian": best,
        "best_bayesian_scores": scores,
        "best_random": some(3),
    }


def write_string_runs(directory, task, rows):
    """Writes each run's result.json and arrays."""
    ROWS["write_runs"](directory, rows, arrays=False, log=False)
    for row in {row["run"]: row for row in rows}.values():
        folder = Path(directory) / "runs" / row["run"]
        np.savez(folder / "arrays.npz", **text_arrays(row, task))
    return Path(directory)
