"""One fuzz target for each parser of files: valid files, mutations, and the documented errors."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from aebench.bench.calibration import study as calibration
from aebench.bench.cli.run import _seeds
from aebench.bench.cli.words import dotted_settings
from aebench.bench.comparison import labels
from aebench.bench.data.celeba import PARTITION, read_partition
from aebench.bench.data.celebahq import read_index
from aebench.bench.data.cifar10 import RECORD, TEST, TRAIN, Cifar10
from aebench.bench.data.dataset import find_source
from aebench.bench.data.idx import read_idx
from aebench.bench.data.image_files import read_image
from aebench.bench.data.imagenet import _read_batch
from aebench.bench.data.images import read_set
from aebench.bench.errors import UserError
from aebench.bench.evaluation.artefacts import load_densities
from aebench.bench.evaluation.features import _read as read_features
from aebench.bench.evaluation.record import EvaluationRecord
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.files.arrays import read_arrays
from aebench.bench.files.checkpoint import BadCheckpoint, load_checkpoint, save_checkpoint
from aebench.bench.files.csv_cells import csv_text
from aebench.bench.files.storage import canonical_json
from aebench.bench.records import encoding, figure_file, results, trainings
from aebench.bench.records.compact import compact_arrays
from aebench.bench.records.rows import COLUMNS, SCHEMA
from aebench.bench.regression import check
from aebench.bench.regression import exact as check_exact
from aebench.bench.suites.suite import load_suite
from aebench.bench.tables import published as comparison
from aebench.bench.training.state import SavedStates
from aebench.metrics.features.inception import load_inception
from mutations import (
    Mutation,
    change_value,
    mutate_bytes,
    mutate_csv,
    mutate_json,
    mutate_npy,
    mutate_npz,
    mutate_png,
    mutate_safetensors,
    mutate_toml,
    mutate_words,
)
from PIL import Image
from safetensors.numpy import save as save_arrays

KEY, IDENTITY = "0" * 64, {"data": "d" * 16}
SUITE = """title = "Small"
scale = "small"
[scales.small]
width = 0.25
latent_dim = 4
[training]
steps = 8
batch_size = 20
learning_rate = 1e-3
[evaluation]
metrics = ["reconstruction", "frechet"]
temperatures = [0.8, 1.0]
images = 20
[[runs]]
dataset = "digits"
backbone = "tiny"
latent_dim = [3, 4]
seed = [0, 1]
objective = ["ae", "vae"]
options = {beta = [1, 2]}
[[runs]]
dataset = "folder:images"
backbone = "tiny"
objective = "rae"
training.steps = 9
"""


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        name: What is parsed.
        file: Path of the mutated file in an empty folder.
        seeds: Valid contents.
        mutations: Ways to change them.
        parse: Reads the file at a path.
        errors: What the parser is documented to raise.
        inputs: How many inputs the whole fuzz gives it.
        beside: Other files of the folder, by path.
    """

    name: str
    file: str
    seeds: tuple[bytes, ...]
    mutations: tuple[Mutation, ...]
    parse: Callable[[Path], object]
    errors: tuple[type[BaseException], ...] = (UserError,)
    inputs: int = 3000
    beside: tuple[tuple[str, bytes], ...] = ()


def all_targets(scratch: Path) -> list[Target]:
    """Returns every target; ``scratch`` is an empty folder to make valid files in."""
    made = (*_texts(), *_results(), *_tensors(scratch), *_arrays(), *_images(), *_data(scratch))
    return [*made, *_baselines()]


def _texts() -> Iterable[Target]:
    suite = SUITE.encode()
    changes = (mutate_toml, mutate_toml, mutate_bytes)
    yield Target("suite (TOML)", "small.toml", (suite,), changes, lambda p: load_suite(str(p)))
    errors = (UserError,)
    given = (b"training.steps=5", b"latent_dim=4", b"seed=0", b"training.noise_sigma=0.1")
    yield Target("command-line values", "set", given, (mutate_bytes, mutate_words), _given, errors)
    cells = (b'{"beta": 1.0, "names": ["a"]}', b'{"torch":"2.11","python":"3.11"}')
    yield Target("JSON in cells", "cell", cells, (mutate_json, mutate_bytes), _json_cells, ())
    partition = b"000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"
    words = (mutate_words, mutate_bytes)
    celeba: Callable[[Path], object] = lambda p: read_partition(p.parent, None)  # noqa: E731
    yield Target("CelebA partition", PARTITION, (partition,), words, celeba, inputs=4000)
    index = b"idx orig_idx orig_file\n0 119613 119614.jpg\n1 99094 099095.jpg\n"
    yield Target("CelebA-HQ index", "index.txt", (index,), words, read_index, inputs=4000)


def _results() -> Iterable[Target]:
    rows = [_row(seed, "ok") for seed in (0, 1)] + [_row(2, "diverged")]
    text = encoding.encode_result("ab" * 8, rows).encode()
    changes = (mutate_json, mutate_bytes, _signed_rows, _signed_rows)
    bad = (results.BadRow, UnicodeDecodeError)
    yield Target("result.json", "result.json", (text,), changes, _decode_result, bad)
    folder = "runs/abababab/result.json"
    read: Callable[[Path], object] = lambda p: results.read_results(p.parents[2])  # noqa: E731
    yield Target("results folder", folder, (text,), changes, read, inputs=3000)
    cells = [COLUMNS, *([row[name] for name in COLUMNS] for row in rows)]
    table = csv_text(cells).encode()
    sums = "".join(encoding.checksum(row)[:16] + "\n" for row in rows).encode()
    read_table: Callable[[Path], object] = lambda p: results.read_results(p.parent)  # noqa: E731
    both = (mutate_csv, mutate_csv, mutate_bytes)
    yield Target("results.csv", "results.csv", (table,), both, read_table, inputs=3000)
    yield Target(
        *("results.csv.sha256", "results.csv.sha256", (sums,), (mutate_bytes, mutate_words)),
        *(read_table, (UserError,), 3000, (("results.csv", table),)),
    )
    body = {"schema": SCHEMA, "identity": IDENTITY, "items": {"a": rows}}
    record = canonical_json({**body, "checksum": encoding.checksum(body)}).encode()
    known: Callable[[Path], object] = lambda p: EvaluationRecord(p, IDENTITY).items  # noqa: E731
    changes = (mutate_json, mutate_bytes, _signed_record)
    yield Target("evaluation.json", "evaluation.json", (record,), changes, known, ())
    log = b'{"step": 1, "split": "train", "loss": 1.5}\n{"step": 2, "split": "validation"}\n'
    runs: Callable[[Path], object] = lambda p: RunFiles(p.parents[2]).log("a")  # noqa: E731
    yield Target("log.jsonl", "runs/a/log.jsonl", (log,), (mutate_bytes, mutate_words), runs, ())
    origins = {"a": {"training_code": "2-ab", "evaluation": {}, "weights": ""}}
    document = {"schema": trainings.SCHEMA, "runs": origins}
    made = canonical_json(document | {"checksum": encoding.checksum(origins)}).encode()
    changes = (mutate_json, mutate_bytes)
    name = trainings.COMMITTED
    yield Target("record of trainings", name, (made,), changes, trainings.read_committed)
    fields = dict.fromkeys(calibration.FIELDS, "1")
    lines = csv_text([fields, fields.values(), fields.values()]).encode()
    yield Target("calibration CSV", "results.csv", (lines,), both, calibration.read)
    paper = Path(comparison.__file__).parent / "assets" / "paper_values.csv"
    some = b"\n".join(paper.read_bytes().split(b"\n")[:40]) + b"\n"
    published = comparison.read_published
    yield Target("published values CSV", "values.csv", (some,), both, published)


def _tensors(scratch: Path) -> Iterable[Target]:
    tensors = {"model.a": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
    whole = _checkpoint(scratch, tensors, {"identity": "me", "step": 1, "rate": "0.1"})
    changes = (mutate_safetensors, mutate_bytes, _signed_checkpoint)
    bad = (BadCheckpoint,)
    yield Target("checkpoint", "a.safetensors", (whole,), changes, load_checkpoint, bad)
    saved: Callable[[Path], object] = lambda p: list(SavedStates(p.parent, "me").read())  # noqa: E731
    yield Target("training state", "state.safetensors", (whole,), changes, saved)
    state = {"gaussian/mean": torch.zeros(2), "gaussian/covariance": torch.eye(2)}
    state |= {"gmm-2/weights": torch.ones(2), "gmm-2/means": torch.ones(2, 2)}
    state |= {"gmm-2/covariances": torch.ones(2, 2, 2), "prior/dims": torch.tensor(2)}
    fitted = _checkpoint(scratch, state, {"identity": IDENTITY, "sheet": []})
    read: Callable[[Path], object] = lambda p: load_densities(p.parent, IDENTITY)  # noqa: E731
    yield Target("fitted densities", "densities.safetensors", (fitted,), changes, read, ())
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    digest = hashlib.sha256(features.data).hexdigest()
    cached = save_arrays({"features": features}, metadata={"key": KEY, "sha256": digest})
    cache: Callable[[Path], object] = lambda p: read_features(p, KEY)  # noqa: E731
    own = (mutate_safetensors, mutate_bytes)
    yield Target("features cache", "f.safetensors", (cached,), own, cache, (), inputs=4000)
    pickled = io.BytesIO()
    torch.save({"a": torch.ones(2)}, pickled)
    old = io.BytesIO()
    torch.save({"a": torch.ones(2)}, old, _use_new_zipfile_serialization=False)
    weights = (pickled.getvalue(), old.getvalue())
    bad = (ValueError,)
    yield Target("weights (.pth)", "w.pth", weights, (mutate_bytes,), _load_weights, bad, 3000)


def _arrays() -> Iterable[Target]:
    images = np.random.default_rng(0).integers(0, 255, (12, 6, 6), dtype=np.uint8)
    floats = (images / 255).astype(np.float32)
    one = (_npy(images), _npy(floats), _npy(floats.reshape(12, 36)))
    changes = (mutate_npy, mutate_bytes)
    yield Target("array (.npy)", "a.npy", one, changes, read_set, inputs=4000)
    parts = {"train": images, "test": images[:4], "train_labels": images[:, 0, 0]}
    zips = (_npz({"images": images}), _npz({"images": floats}))
    packed = (mutate_npz, mutate_npz, mutate_bytes)
    yield Target("arrays (.npz)", "a.npz", zips, packed, read_set)
    data: Callable[[Path], object] = lambda p: find_source(f"npz:{p}").load()  # noqa: E731
    yield Target("npz: data set", "a.npz", (_npz(parts), zips[0]), packed, data)
    batch = {"data": np.zeros((3, 3072), np.uint8), "labels": np.arange(3)}
    yield Target("ImageNet batch", "b.npz", (_npz(batch),), packed, _read_batch)
    figures = {"test": images[:, None], "prd_a": np.ones((2, 5)), "codes2d": np.ones((5, 2))}
    of: Callable[[Path], object] = lambda p: RunFiles(p.parents[2]).arrays("a")  # noqa: E731
    path = "runs/a/arrays.npz"
    yield Target("figure arrays", path, (_npz(figures),), packed, of, ())
    kept = figure_file.encode_figures({"a": compact_arrays(figures)})
    committed = str(figure_file.COMMITTED)
    yield Target("committed arrays", committed, (kept,), packed, figure_file.read_figures)
    yield Target("named arrays", "n.npz", (_npz(parts),), packed, read_arrays)


def _images() -> Iterable[Target]:
    colour = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    grey, palette = Image.fromarray(colour[..., 0]), Image.fromarray(colour).quantize(8)
    pictures = (Image.fromarray(colour), grey, palette)
    pngs = tuple(_picture(p, "png") for p in pictures)
    changes = (mutate_png, mutate_png, mutate_bytes)
    yield Target("image (PNG)", "a.png", pngs, changes, read_image, inputs=4000)
    jpegs = tuple(_picture(p, "jpeg") for p in pictures[:2])
    yield Target("image (JPEG)", "a.jpg", jpegs, (mutate_bytes,), read_image, inputs=4000)
    others = tuple(_picture(pictures[0], f) for f in ("bmp", "webp", "tiff", "gif", "ppm", "tga"))
    yield Target("image (other)", "a.img", others, (mutate_bytes,), read_image, inputs=4000)
    folder: Callable[[Path], object] = lambda p: find_source(f"folder:{p.parent}").load()  # noqa: E731
    beside = (("b.png", pngs[0]), ("c.png", pngs[0]))
    yield Target("image folder", "a.png", pngs[:1], changes, folder, (UserError,), 3000, beside)


def _data(scratch: Path) -> Iterable[Target]:
    images = np.random.default_rng(0).integers(0, 255, (4, 5, 5), dtype=np.uint8)
    idx = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in images.shape)
    idx += images.tobytes()
    read: Callable[[Path], object] = lambda p: read_idx(p, images.shape)  # noqa: E731
    yield Target("IDX", "a-ubyte", (idx,), (mutate_bytes,), read, inputs=4000)
    zipped = gzip.compress(idx, mtime=0)
    again: Mutation = lambda data, rng: gzip.compress(mutate_bytes(idx, rng))  # noqa: E731
    yield Target("IDX (gzip)", "a.gz", (zipped,), (mutate_bytes, again), read, inputs=4000)
    records = [bytes([i % 10]) + bytes(RECORD - 1) for i in range(10)]
    beside = tuple((f"cifar10/{name}", b"".join(records)) for name in (*TRAIN[1:], TEST))
    yield Target(
        *("CIFAR-10 (binary)", f"cifar10/{TRAIN[0]}", (b"".join(records),), (mutate_bytes,)),
        *(lambda p: Cifar10(10, 2)._read_from(p.parent), (UserError,), 3000, beside),
    )


def _baselines() -> Iterable[Target]:
    expected = json.dumps({"metrics": {"frechet/fd": 1.5}, "data": {"gone/default": "ab"}})
    read: Callable[[Path], object] = lambda p: check_exact.compare_values(  # noqa: E731
        check_exact.read_expected(p), {"frechet/fd": 1.5}
    )
    changes = (mutate_json, mutate_bytes)
    yield Target("baseline values", "expected.json", (expected.encode(),), changes, read)
    about = b'{"schema": 1, "history": [{"date": "2026", "reason": "first"}]}'
    base: Callable[[Path], object] = lambda p: check.check_baseline(p.parent)  # noqa: E731
    yield Target("baseline history", "baseline.json", (about,), changes, base)
    features = _npz({"real": np.ones((4, 2), np.float32), "dims": np.array(4)})
    packed = (mutate_npz, mutate_npz, mutate_bytes)
    stored: Callable[[Path], object] = check_exact.read_features
    yield Target("baseline features", "features.npz", (features,), packed, stored, inputs=3000)


def _row(seed: int, status: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, kind in encoding.TYPES.items():
        row[name] = 1 if kind.startswith("int") else 1.5 if kind.startswith("float") else "a"
    row |= {"schema": SCHEMA, "seed": seed, "status": status, "run": "ab" * 8, "trusted": ""}
    row["value"] = 1.5 if status == "ok" else None
    return row


def _decode_result(path: Path) -> object:
    return encoding.decode_result(path.read_text(encoding="utf-8"))


def _given(path: Path) -> object:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    content = Path(path.parent / "suite.toml")
    content.write_text(SUITE, encoding="utf-8")
    key, _, value = text.partition("=")
    if key in ("seed", "dataset", "latent_dim"):
        load_suite(str(content), only={key: value})
    seeds = _seeds(value) if key == "seed" else None
    return load_suite(str(content), settings=dotted_settings([text]), seeds=seeds)


def _json_cells(path: Path) -> object:
    text = path.read_text(encoding="utf-8", errors="replace")
    return labels.variant_text(text)


def _load_weights(path: Path) -> object:
    """Loads weights without building the large network that they belong to."""
    network = "torch_fidelity.feature_extractor_inceptionv3.FeatureExtractorInceptionV3"
    with mock.patch(network):
        return load_inception(path)


def _signed_rows(data: bytes, rng: random.Random) -> bytes:
    document = json.loads(data)
    document["rows"] = change_value(document["rows"], rng)
    try:
        document["checksum"] = encoding.checksum(document["rows"])
    except ValueError:
        document["checksum"] = ""
    return json.dumps(document).encode()


def _signed_record(data: bytes, rng: random.Random) -> bytes:
    document = json.loads(data)
    del document["checksum"]
    document["items"] = change_value(document["items"], rng)
    try:
        document["checksum"] = encoding.checksum(document)
    except ValueError:
        pass
    return json.dumps(document).encode()


def _signed_checkpoint(data: bytes, rng: random.Random) -> bytes:
    """Returns a checkpoint with another record or tensor names, and the checksum that fits."""
    from aebench.bench.files.checkpoint import _checksum
    from safetensors.torch import load, save

    size = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + size])["__metadata__"]["record"]
    tensors = load(data)
    if rng.random() < 0.5:
        text = json.dumps(change_value(json.loads(text), rng))
    else:
        name = rng.choice(list(tensors))
        tensor = tensors.pop(name)
        names = (name, "", "x", "gmm-0/means", "second-stage/mean", "prior/dims", "\0/\0", "a/b")
        shapes = (tensor, tensor.reshape(-1), torch.zeros(0, 2**40), tensor.double().sum())
        tensors[rng.choice(names)] = rng.choice(shapes).contiguous().clone()
    return save(tensors, metadata={"record": text, "sha256": _checksum(tensors, text)})


def _checkpoint(scratch: Path, tensors: dict[str, torch.Tensor], record: dict[str, Any]) -> bytes:
    path = scratch / "made.safetensors"
    save_checkpoint(path, tensors, record)
    return path.read_bytes()


def _npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _picture(picture: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form)
    return stream.getvalue()
