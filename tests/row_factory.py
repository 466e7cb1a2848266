"""Synthetic result rows and run folders; test modules load this file with runpy."""

import json
import zlib
from pathlib import Path

import numpy as np
from aebench.bench.records import encoding, results

DEFAULTS = {
    "schema": 2,
    "suite": "quick",
    "scale": "small",
    "run": "",
    "recipe": "",
    "dataset": "fashion-mini",
    "split": "default",
    "image_shape": "1x28x28",
    "space": "unit",
    "backbone": "tiny",
    "backbone_hash": "ab12cd34ef56" + "0" * 52,
    "objective": "ae",
    "variant": "",
    "latent_dim": 16,
    "seed": 0,
    "selection": "best validation loss",
    "density": "",
    "images": "reconstruction",
    "metric": "fd",
    "value": 1.0,
    "stderr": None,
    "unit": "squared feature units",
    "better": "lower",
    "kind": "",
    "model": "",
    "samples_k": None,
    "ess_median": None,
    "trusted": "",
    "n_real": 1000,
    "n_generated": 1000,
    "features": "lite0@64:579344248a93",
    "status": "ok",
    "reason": "",
    "parameters_backbone": 50000,
    "parameters_outside": 0,
    "steps": 1000,
    "train_seconds": 12.5,
    "compute_seconds": 11.5,
    "device": "cpu",
    "commit": "0123456",
    "versions": '{"torch":"2.11"}',
    "date": "2026-01-01T00:00:00Z",
}


def make_row(**columns):
    """Returns one whole row; the digests of run and recipe follow from what identifies them."""
    row = DEFAULTS | columns
    if not row["run"]:
        names = ("suite", "dataset", "space", "backbone", "objective", "variant", "latent_dim")
        text = json.dumps([row[name] for name in names] + [row["seed"]])
        row["run"] = f"{zlib.crc32(text.encode()):08x}" * 2
    if not row["recipe"]:
        names = (*("dataset", "split", "space", "backbone", "backbone_hash", "objective"),)
        names += (*("variant", "latent_dim", "selection", "steps"),)
        row["recipe"] = f"{zlib.crc32(json.dumps([row[n] for n in names]).encode()):08x}" * 2
    if row["status"] != "ok":
        row["value"] = None
    if row["kind"] == "lower bound" and "trusted" not in columns:
        row["trusted"] = "yes"
    return row


def run_columns():
    """Returns the columns that all rows of one run share, without those of a score."""
    row = make_row()
    names = list(row)
    of_scores = {*names[names.index("density") : names.index("reason") + 1], "date"}
    return {name: value for name, value in row.items() if name not in of_scores}


LEVELS = {"vae": 40.0, "wae-mmd": 35.0, "rae-gp": 30.0, "rae": 31.0, "ae": 32.0}
PENALTY = {"": 0.0, "prior": 10.0, "gaussian": 9.0, "gmm-10": 2.0}


def table_rows(objectives=tuple(LEVELS), seeds=(0, 1, 2), metrics=("fd",), noise=0.3, **columns):
    """Returns rows in the shape of the quick suite: reconstructions, samples, interpolations."""
    rows = [make_row(objective="floor", images="test", value=0.8, seed=0, run="f" * 16, **columns)]
    for objective in objectives:
        for seed in seeds:
            draw = np.random.default_rng(zlib.crc32(f"{objective}{seed}".encode()))
            has_prior = objective in ("vae", "wae-mmd")
            places = [("reconstruction", ""), ("sample", "prior" if has_prior else "gaussian")]
            places += [("sample", "gmm-10"), ("interpolation", "")]
            for metric in metrics:
                for images, density in places:
                    value = LEVELS[objective] + PENALTY[density] + noise * draw.normal()
                    rows.append(
                        make_row(
                            objective=objective,
                            seed=seed,
                            images=images,
                            density=density,
                            metric=metric,
                            value=value,
                            parameters_outside=784 if objective == "vae" else 0,
                            **columns,
                        )
                    )
    return rows


def likelihood_rows(seeds=(0, 1, 2), sizes=(8,), levels=None, **columns):
    """Returns bits/dim rows of every kind and model."""
    levels = levels or {"vae": 4.6, "aef-linear": 4.4, "aef-center": 4.3, "ae": 5.1}
    rows = []
    for objective, level in levels.items():
        exact = objective in ("aef-center", "aef-corner", "maf")
        for size in sizes:
            for seed in seeds:
                draw = np.random.default_rng(zlib.crc32(f"{objective}{seed}{size}".encode()))
                row = {
                    "objective": objective,
                    "seed": seed,
                    "latent_dim": size,
                    "backbone_hash": f"{size:012d}" + "0" * 52,
                    "space": "unit" if objective == "ae" else "logit",
                    "images": "test",
                    "metric": "bits_per_dim",
                    "unit": "bits per dimension",
                    "kind": "exact" if exact else "lower bound",
                    "model": "completed" if objective == "ae" else "native",
                    "density": "gmm-10" if objective == "ae" else "",
                    "samples_k": None if exact else 500,
                    "ess_median": None if exact else 41.0,
                    "n_generated": None,
                    "features": "",
                    "value": level - 0.1 * np.log2(size) + 0.02 * draw.normal(),
                }
                rows.append(make_row(**(row | columns)))
    return rows


# Reconstruction, own samples and samples of a mixture; bits/dim; seconds of 10,000 steps.
STUDY = {
    ("vae", "unit"): ((620, 1400, 660), None, 250),
    ("vae", "logit"): ((600, 1500, 640), 4.15, 255),
    ("wae-mmd", "unit"): ((590, 1300, 640), None, 230),
    ("rae", "unit"): ((552, 1050, 590), None, 210),
    ("rae", "logit"): ((590, 1150, 640), 4.2, 206),
    ("rae-l2", "unit"): ((551, 900, 589), None, 212),
    ("ae", "unit"): ((575, 1100, 612), None, 205),
    ("iwae", "logit"): ((610, 800, 640), 4.12, 1400),
    ("aef-center", "logit"): ((640, 1450, 690), 4.17, 300),
    ("aef-linear", "logit"): ((630, 1480, 680), 4.16, 320),
}
DAMAGED = {"floor": (33.0, 0.99), "blur": (829.0, 0.7), "noise": (1446.0, 0.6)}
OWN_DENSITY = {"rae": "gaussian", "rae-l2": "gaussian", "ae": "gaussian"}
TUNED = ("vae", "rae", "rae-l2", "wae-mmd")


def study_rows(seeds=range(5), noise=6.0):
    """Returns rows in the shape of a study: counts of steps, tuned settings, damaged images."""
    shared = {
        "suite": "families-fashion-mnist",
        "scale": "medium",
        "dataset": "fashion-mnist",
        "n_real": 10000,
        "n_generated": 10000,
        "device": "cpu (x86_64, 1 threads)",
    }
    rows = []
    for name, (fd, share) in DAMAGED.items():
        blank = {"steps": 0, "backbone": "", "backbone_hash": "", "selection": "", "latent_dim": 0}
        blank |= {"compute_seconds": None, "run": name[0] * 16}
        for metric, value in (("fd", fd), ("prd_f8", share), ("prd_f1/8", share)):
            better = "lower" if metric == "fd" else "higher"
            own = {"metric": metric, "value": value, "better": better}
            rows.append(
                make_row(**(shared | blank | own), objective=name, images="reconstruction")
            )
    for (objective, space), (levels, bits, seconds) in STUDY.items():
        for steps in (1800,) if objective == "iwae" else (1000, 3000, 10000):
            longer = 1.0 if objective == "iwae" else (10000 / steps) ** 0.25
            for seed in seeds:
                text = f"{objective}{space}{steps}{seed}"
                draw = np.random.default_rng(zlib.crc32(text.encode()))
                own = {"objective": objective, "space": space, "seed": seed, "steps": steps}
                own |= {"run": f"{zlib.crc32(text.encode()):08x}" * 2}
                own |= {"compute_seconds": seconds * steps / 10000}
                both = noise * draw.normal()
                places = [("reconstruction", ""), ("sample", OWN_DENSITY.get(objective, "prior"))]
                places += [("sample", "gmm-10")]
                for (images, density), level in zip(places, levels, strict=True):
                    place = shared | own | {"images": images, "density": density}
                    value = level * longer + both + noise * draw.normal()
                    rows.append(make_row(**place, value=value))
                    for metric in ("prd_f8", "prd_f1/8") if density else ():
                        share = 0.9 - level / 5000 + 0.01 * draw.normal()
                        score = {"metric": metric, "better": "higher", "unit": ""}
                        rows.append(make_row(**place, **score, value=share))
                if bits:
                    value = bits + 0.1 * (longer - 1) + 0.003 * draw.normal()
                    rows += likelihood_row(objective, shared | own, value)
    tuned = [r for r in rows if r["objective"] in TUNED and r["steps"] == 10000]
    for row in tuned:
        run = f"{zlib.crc32((row['run'] + 'tuned').encode()):08x}" * 2
        better = 8 + row["seed"] % 3 if row["metric"] == "fd" else 0
        own = {"variant": '{"beta":0.5,"tuned":true}', "run": run, "recipe": ""}
        rows.append(make_row(**(row | own | {"value": row["value"] - better})))
    return rows


def likelihood_row(objective, columns, value):
    """Returns one row of bits/dim, of the kind that the objective has."""
    rows = likelihood_rows(seeds=(0,), levels={objective: 0.0}, stderr=0.03)
    own = {name: columns[name] for name in columns if name != "n_generated"}
    completed = {"model": "completed", "density": "gmm-10"} if objective == "rae" else {}
    more = {"space": "logit", "latent_dim": 16, "recipe": "", "value": value, "n_real": 1000}
    more |= {"backbone_hash": DEFAULTS["backbone_hash"]}
    return [make_row(**(rows[0] | own | completed | more))]


def frame(rows):
    """Returns rows as the data frame that the report reads."""
    return results.frame(rows)


SHEET = ("test", "reconstruction", "sample_prior", "sample_gaussian", "interpolation")


def write_runs(directory, rows, arrays=True, log=True):
    """Writes each run's result.json, and small pictures and a log where wanted.

    ``arrays`` is True for all kinds of arrays, False for none, or the names that are wanted.
    """
    runs = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    for run, own in runs.items():
        folder = Path(directory) / "runs" / run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "result.json").write_text(encoding.encode_result(run, own))
        if own[0]["objective"] == "floor":
            continue
        seed = own[0]["seed"]
        if arrays:
            saved = picture_arrays(own[0], seed)
            names = saved if arrays is True else arrays
            np.savez(folder / "arrays.npz", **{name: saved[name] for name in names})
        if log:
            lines = [
                {"step": step, "split": split, "distortion": 200 / (1 + step / 50) + 20 + gap}
                for step in range(0, 500, 50)
                for split, gap in (("train", 0.0), ("validation", 2.0))
            ]
            (folder / "log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return Path(directory)


def picture_arrays(row, seed=0):
    """Returns arrays as a run saves them: simple shapes instead of clothes."""
    level = zlib.crc32(row["objective"].encode()) % 5
    draw = np.random.default_rng(seed * 100 + level)
    grid = np.linspace(-1, 1, 28)
    y, x = np.meshgrid(grid, grid, indexing="ij")

    def blob(count, blur):
        centres = np.random.default_rng(7).uniform(-0.4, 0.4, (count, 2))
        size = np.random.default_rng(8).uniform(0.2, 0.6, count)
        distance = (x - centres[:, :1, None]) ** 2 + (y - centres[:, 1:, None]) ** 2
        inside = 1 / (1 + np.exp((distance - size[:, None, None] ** 2) / blur))
        noise = draw.normal(0, 0.02, inside.shape)
        return (255 * np.clip(inside + noise, 0, 1)).astype(np.uint8)[:, None]

    share = np.linspace(0, 1, 1001)
    codes = draw.normal(size=(300, 2)).astype(np.float32) * (1, 1.5)
    steps = np.stack([blob(6, 0.01 + 0.02 * t) for t in np.linspace(0, 1, 7)], axis=1)
    curve = np.stack([np.sqrt(1 - share**2) * (0.8 + 0.03 * level), share])
    return {
        "test": blob(12, 0.01),
        "reconstruction": blob(12, 0.05),
        "sample_prior": blob(12, 0.15),
        "sample_gaussian": blob(12, 0.12),
        "sample_gmm-10": blob(12, 0.08),
        "interpolation": steps,
        "prd_gaussian": curve * 0.9,
        "prd_gmm-10": curve,
        "codes2d": codes.astype(np.float32),
        "grid2d_gaussian": blob(16, 0.05),
        "labels": draw.integers(0, 10, 300),
        "neighbours_gmm-10": steps[:, :5],
        "temperature_0.85": blob(8, 0.05),
        "temperature_1": blob(8, 0.1),
        "denoising_0.25": steps[:, :3],
        "density2d_gmm-10": np.exp(-(x**2) * 8 - y**2 * 4) + np.exp(-((x - 0.5) ** 2) * 60),
    }
