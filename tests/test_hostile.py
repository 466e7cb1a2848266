"""Files made to harm: nothing in them is run, unpacked without bound or written elsewhere."""

import csv
import gzip
import html
import io
import os
import pickle
import re
import runpy
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from aebench.bench.calibration import study as calibration
from aebench.bench.cli.main import main
from aebench.bench.comparison.table import Cell, Table, file_name
from aebench.bench.data.celebahq import read_index
from aebench.bench.data.dataset import load_dataset
from aebench.bench.data.image_files import FORMATS, read_image
from aebench.bench.errors import UserError
from aebench.bench.evaluation.artefacts import load_densities
from aebench.bench.evaluation.features import extract
from aebench.bench.files.checkpoint import save_checkpoint
from aebench.bench.files.csv_cells import csv_text
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.leaderboard.page import render_html
from aebench.bench.leaderboard.pictures import Pictures
from aebench.bench.leaderboard.study import Opening
from aebench.bench.pages.report import render_page
from aebench.bench.records import encoding, results
from aebench.bench.suites.suite import load_suite
from aebench.bench.tables.published import read_published
from aebench.metrics.extractor import build_extractor
from aebench.metrics.features.inception import load_inception
from aebench.metrics.weights import check_sizes
from PIL import Image

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
frame, make_row, table_rows, write_runs = (
    FACTORY[name] for name in ("frame", "make_row", "table_rows", "write_runs")
)
IMAGES = np.random.default_rng(0).integers(0, 255, (30, 8, 8), dtype=np.uint8)


class Payload:
    """Makes the folder ``harm`` when it is unpickled."""

    def __init__(self, folder):
        self.harm = str(folder / "harm")

    def __reduce__(self):
        return os.mkdir, (self.harm,)


def pickled_pt(path, payload):
    torch.save({"weight": payload}, path)


def pickled_plain(path, payload):
    path.write_bytes(pickle.dumps(payload))


def pickled_npz(path, payload):
    with path.open("wb") as file:
        np.savez(file, images=np.array([payload] * 3, dtype=object))


def pickled_npy(path, payload):
    with path.open("wb") as file:
        np.save(file, np.array([payload] * 3, dtype=object), allow_pickle=True)


WRITERS = (pickled_pt, pickled_plain, pickled_npz, pickled_npy)
ENDINGS = ("x.pt", "x.npz", "x.npy", "x.safetensors", "x.png", "x.toml", "x.pkl")


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ENDINGS)
def test_a_pickle_given_to_a_command_is_one_line_with_exit_2_and_not_run(
    write, name, tmp_path, capsys
):
    write(tmp_path / name, Payload(tmp_path))
    given = str(tmp_path / name)
    assert main(["evaluate", given, given, "--features", "pixels"]) == 2
    assert main(["run", given, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 2 and all(line.startswith("aebench: ") for line in told)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_a_pickle_as_a_data_set_of_any_form_is_not_run(write, tmp_path, monkeypatch):
    monkeypatch.setenv("AEBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    folder = tmp_path / "data" / "cifar10" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (tmp_path / "pictures").mkdir()
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        write(folder / name, Payload(tmp_path))
    write(tmp_path / "pictures" / "a.png", Payload(tmp_path))
    for name in ("cifar10", f"folder:{tmp_path / 'pictures'}", f"npz:{folder / 'test_batch.bin'}"):
        with pytest.raises(UserError):
            load_dataset(name)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("write", WRITERS)
def test_a_pickle_in_the_place_of_cached_features_is_not_run(write, tmp_path):
    images = torch.from_numpy(IMAGES[:, None])
    extractor = build_extractor("pixels")
    first = extract(images, extractor, tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    write(path, Payload(tmp_path))
    assert np.array_equal(extract(images, extractor, tmp_path), first)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["checkpoint", "densities"])
def test_a_pickle_in_the_place_of_a_runs_tensors_is_not_run_and_the_run_ends(
    name, suite_file, aebench, tmp_path
):
    suite = suite_file(('objective = ["ae", "vae"]', 'objective = "ae"'))
    assert aebench(suite)[0] == 0
    (folder,) = (p for p in (tmp_path / "out" / "runs").iterdir() if "floor" not in p.name)
    pickled_pt(folder / f"{name}.safetensors", Payload(tmp_path))
    pickled_npz(folder / "arrays.npz", Payload(tmp_path))
    assert aebench(suite)[0] == 0
    assert not (tmp_path / "harm").exists()
    assert (folder / f"{name}.safetensors").read_bytes()[8:9] == b"{"


def test_a_run_id_in_a_row_cannot_lead_out_of_the_results_folder(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    np.savez(secret / "arrays.npz", reconstruction=IMAGES[:, None])
    for run in ("../../secret", str(secret), "..", "", "a/b", "a\0b", "a" * 201):
        rows = results.frame([make_row(seed=0, run="0" * 16), make_row(seed=1, run="1" * 16)])
        rows.loc[1, "run"] = run
        (tmp_path / "suite").mkdir(exist_ok=True)
        lines = results.records_of(rows)
        text = csv_text([results.COLUMNS, *(line.values() for line in lines)])
        (tmp_path / "suite" / "results.csv").write_text(text)
        read = results.read_results(tmp_path / "suite")
        assert list(read.rows["run"]) == ["0" * 16] and "run is" in read.warnings[0]
        page = build_leaderboard([tmp_path / "suite"], tmp_path / "board")[2].read_text()
        assert "data:image/png" not in page


def test_names_in_rows_and_archives_write_nothing_outside(tmp_path):
    inside = tmp_path / "a" / "b"
    names = ("../../x", "/etc/x", "..", ".", "a\0b", "\u202egnp.exe", "x" * 5000)
    for name in names:
        made = inside / f"{file_name('fd', name)}.csv"
        assert made.resolve().parent == inside.resolve()
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,160}", file_name("fd", name))
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        stream = io.BytesIO()
        np.save(stream, IMAGES)
        archive.writestr("../../escaped.npy", stream.getvalue())
    before = sorted(tmp_path.rglob("*"))
    assert load_dataset(f"npz:{path}").train.shape == (24, 1, 8, 8)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["..", "...", "-rf", "a b", "a;b", "$(id)", "\u202eb"])
def test_a_suite_file_whose_name_could_lead_elsewhere_is_refused(name, suite_file, tmp_path):
    given = Path(suite_file())
    odd = given.rename(tmp_path / f"{name}.toml")
    with pytest.raises(UserError, match="expected a name of letters"):
        load_suite(str(odd))


@pytest.mark.parametrize(
    "given", ["dataset=../../x", "dataset=npz:../x\0", "objective=../x", "space=\n", "split=%00"]
)
def test_a_hostile_name_on_the_command_line_is_one_line_and_writes_nothing(
    given, suite_file, aebench, tmp_path
):
    code, told = aebench(suite_file(), "--only", given)
    assert code == 2 and told.count("\n") == 1
    assert not list((tmp_path / "out").rglob("*.json"))


def test_no_control_character_of_a_file_reaches_the_terminal(suite_file, aebench):
    suite = suite_file(('"digits"', '"folder:\\u001b[2J\\u0000\\u202e\\nx"'))
    code, told = aebench(suite)
    assert code == 2 and all(c.isprintable() for c in told.replace("\n", ""))
    assert all(line.startswith("aebench: ") for line in told.splitlines())


def png(width, height, body, *more):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *(chunk(*part) for part in more), chunk(b"IDAT", body)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def npy(shape, descr="|u1", version=1, body=b""):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header).to_bytes(2 * version, "little")
    return b"\x93NUMPY" + bytes((version, 0)) + size + header + body


def zipped(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", content)
    return stream.getvalue()


def bombs():
    zeros = bytes(300 << 20)
    packed = zlib.compress(zeros, 1)
    text = b"a\0\0" + packed
    shape = (300, 1024, 1024)
    return {
        "dims.png": png(2**31 - 1, 2**31 - 1, b""),
        "wide.png": png(2**31 - 1, 1, packed),
        "body.png": png(8, 8, packed),
        "chunk.png": png(8, 8, zlib.compress(bytes(72))).replace(b"\0\0\0\x0c", b"\x40\0\0\x0c"),
        "text.png": png(8, 8, zlib.compress(bytes(72)), (b"zTXt", text), (b"iCCP", text)),
        "bomb-ubyte.gz": b"\0\0\x08\x03" + b"\xff" * 12,
        "zeros.gz": gzip.compress(zeros, 1),
        "bomb.npz": zipped(npy(shape, body=zeros)),
        "claim.npz": zipped(npy((10**12, 28, 28))),
        "claim.npy": npy((10**12, 28, 28)),
        "overflow.npy": npy((2**63, 2**63)),
        "header.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
        "deep.npy": b"\x93NUMPY\x01\x00\x00\x20" + b"(" * 8192,
        "claim.safetensors": (1 << 62).to_bytes(8, "little") + b"{}",
    }


READER = """
import resource, sys
from pathlib import Path
from aebench.bench.arrays import read_arrays
from aebench.bench.checkpoint import BadCheckpoint, load_checkpoint
from aebench.bench.errors import UserError
from aebench.bench.idx import read_idx
from aebench.bench.image_files import read_image
import numpy, PIL.PngImagePlugin, safetensors, torch
def memory():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(l for l in lines if l.startswith("VmSize")).split()[1]) << 10
readers = {".png": read_image, ".gz": lambda p: read_idx(p, (60, 28, 28)), ".npz": read_arrays}
readers |= {".npy": read_arrays, ".safetensors": load_checkpoint}
for path in sorted(Path(sys.argv[1]).iterdir()):
    limit = memory() + (200 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        readers[path.suffix](path)
        print(path.name, "read")
    except (UserError, BadCheckpoint) as error:
        print(path.name, "memory" if "allocate" in str(error) else "refused")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_absurd_sizes_and_decompression_bombs_are_refused_within_200_mib(tmp_path):
    made = bombs()
    for name, content in made.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", READER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = dict(line.split() for line in done.stdout.splitlines())
    # Data after the last pixel is never unpacked, the length that a chunk declares not taken.
    assert told == {n: "read" if n in ("body.png", "chunk.png") else "refused" for n in made}


def test_a_suite_of_more_runs_than_anybody_has_is_refused_before_it_is_expanded(suite_file):
    many = ", ".join(map(str, range(1, 301)))
    suite = suite_file(
        ("latent_dim = 3", f"latent_dim = [{many}]\nseed = [{many}]\noptions = {{a = [{many}]}}")
    )
    with pytest.raises(UserError, match=r"54000000 runs; expected at most 10000"):
        load_suite(suite)


def test_deep_nesting_and_long_numbers_are_refused_in_every_text_format(tmp_path, suite_file):
    deep, digits = "[" * 100_000, "9" * 5000
    for text in (f"x = {deep}", f"x = {digits}"):
        (tmp_path / "deep.toml").write_text(text)
        with pytest.raises(UserError, match="not valid TOML"):
            load_suite(str(tmp_path / "deep.toml"))
    for text in (deep, digits, '{"rows": ' + deep, '{"schema": 1, "checksum": "", "rows": [NaN]}'):
        with pytest.raises(results.BadRow, match="half-written or not a result file"):
            encoding.decode_result(text)
    from aebench.bench.comparison.labels import variant_text

    assert variant_text(deep) == deep
    with pytest.raises(UserError):
        load_suite(suite_file(), only={"seed": digits})
    assert main(["run", suite_file(), "--dry-run", "--seeds", digits]) == 2
    assert main(["run", suite_file(), "--dry-run", "--set", f"seed={deep}"]) == 2


def test_a_number_no_column_can_hold_is_a_row_left_out(tmp_path):
    for name, value in (("seed", 2**63), ("n_real", 10**400), ("value", 10**400)):
        with pytest.raises(results.BadRow, match=f"column '{name}'"):
            encoding.check_record(make_row() | {name: value})


def test_a_table_that_is_no_text_is_named_and_the_rows_before_it_are_read(tmp_path):
    rows = frame([make_row(seed=seed) for seed in (0, 1)])
    path, sums, _ = results.write_results(tmp_path / "results.csv", rows)
    path.write_bytes(path.read_bytes() + b"\xff\xfe\n")
    sums.write_bytes(sums.read_bytes() + b"\xff\n")
    with pytest.raises(UserError, match="the rest is left out"):
        results.read_results(tmp_path)
    write_runs(tmp_path, [make_row(seed=2)], arrays=False, log=False)
    read = results.read_results(tmp_path)
    assert 2 in set(read.rows["seed"]) and not read.table_is_sound


FORMULAS = (
    *("=cmd|'/C calc'!A0", "+1+cmd", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1"),
    *("\uff1d1+1", "\uff0b1", "\uff0dA1", "\uff20x"),
)


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_text_of_a_row_is_a_formula_in_a_table_or_the_leaderboard(formula, tmp_path):
    columns = ("objective", "dataset", "suite", "density", "backbone", "features")
    rows = [make_row(**{name: formula, "seed": at}) for at, name in enumerate(columns)]
    write_runs(
        tmp_path / "suite",
        [*rows, make_row(value=-1.5, objective="negative")],
        arrays=False,
        log=False,
    )
    board = build_leaderboard([tmp_path / "suite"], tmp_path)[0]
    table = Table("t", "", (), formula, (("", formula),), ((formula, (Cell(formula),)),))
    (tmp_path / "t.csv").write_text(table.as_csv(), newline="")
    for path in (board, tmp_path / "t.csv"):
        with path.open(newline="") as file:
            cells = [cell for line in csv.reader(file) for cell in line]
        assert not [c for c in cells if c and c[0] in "=+@\t\r\n\uff1d\uff0b\uff0d\uff20"]
        assert all(float(c) for c in cells if c.startswith("-"))
    with board.open(newline="") as file:
        assert "-1.5" in {line["mean"] for line in csv.DictReader(file)}


def test_a_formula_in_a_name_comes_back_as_it_was(tmp_path):
    rows = frame([make_row(objective=text, seed=at) for at, text in enumerate(FORMULAS)])
    results.write_results(tmp_path / "results.csv", rows)
    read = results.read_results(tmp_path)
    assert set(read.rows["objective"]) == set(FORMULAS) and not read.warnings


def test_markup_in_any_name_stays_text_in_the_pages(tmp_path):
    evil = "</title></script><img src=x onerror=alert(1)>"
    columns = ("objective", "dataset", "suite", "density", "backbone", "features", "reason")
    rows = table_rows(objectives=("ae",), seeds=(0,))
    rows += [make_row(**{name: evil, "seed": at + 1}) for at, name in enumerate(columns)]
    write_runs(tmp_path / "suite", rows, arrays=False, log=False)
    _, markdown, page = build_leaderboard([tmp_path / "suite"], tmp_path)
    assert "<img src=x" not in page.read_text()
    assert "<img" not in markdown.read_text().replace(r"\<", "")
    found = results.read_results(tmp_path / "suite")
    report = render_page(found, [], [], [], [f"Run {evil} is missing."], [], "", {}, [])
    assert evil.partition("<img")[2] in report and "<img" not in report.replace(r"\<", "")


def test_the_policy_of_the_page_allows_no_foreign_code_and_no_network():
    page = render_html({"boards": []}, Pictures(), Opening(), (), "", "")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', page)
    rules = dict(rule.strip().split(" ", 1) for rule in html.unescape(policy).split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert "unsafe" not in rules["script-src"] and "http" not in policy
    assert {"base-uri", "form-action"} <= rules.keys()


def test_links_in_a_folder_of_images_lead_to_no_loop_and_no_device(tmp_path):
    folder, other = tmp_path / "pictures", tmp_path / "other"
    folder.mkdir(), other.mkdir()
    for at in range(4):
        Image.fromarray(IMAGES[at]).save(folder / f"{at}.png")
    Image.fromarray(IMAGES[9]).save(other / "9.png")
    (folder / "loop").symlink_to(folder)
    (folder / "other").symlink_to(other)
    data = load_dataset(f"folder:{folder}")
    assert sum(map(len, (data.train, data.validation, data.test))) == 5
    for name, target in (("self", "self"), ("gone.png", "no.png"), ("zero.png", "/dev/zero")):
        (folder / name).symlink_to(target)
        with pytest.raises(UserError, match=f"{name} is (a link to|neither)"):
            load_dataset(f"folder:{folder}")
        (folder / name).unlink()
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(UserError, match=r"pipe\.png is neither a file nor a folder"):
        load_dataset(f"folder:{folder}")
    (folder / "pipe.png").unlink()
    (folder / "secret.png").symlink_to(Path(__file__))
    with pytest.raises(UserError, match=r"secret\.png is not an image"):
        load_dataset(f"folder:{folder}")


def test_no_picture_starts_another_program(tmp_path, monkeypatch):
    assert not {"EPS", "WMF", "FPX", "PDF"} & set(FORMATS)
    (tmp_path / "a.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(x) run\nshowpage\n"
    )
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: pytest.fail("a program was started"))
    with pytest.raises(UserError, match="is not an image that can be read"):
        read_image(tmp_path / "a.png")


def test_densities_that_do_not_load_are_fitted_again(tmp_path):
    identity = {"data": "a"}
    for tensors in (
        {"gaussian/mean": torch.zeros(2)},
        {"nothing/mean": torch.zeros(2)},
        {"gmm-99999999/means": torch.zeros(2)},
        {"prior/dims": torch.zeros(3)},
        {"second-stage/mean": torch.zeros(2), "second-stage/std": torch.zeros(2)},
    ):
        path = tmp_path / "densities.safetensors"
        save_checkpoint(path, tensors, {"identity": identity})
        assert load_densities(tmp_path, identity) == {}


def test_a_calibration_table_of_another_form_is_refused(tmp_path):
    path = tmp_path / "results.csv"
    for content in (b"a,b\n1,2\n", ",".join(calibration.FIELDS).encode() + b"\n1\n", b"\xff\n"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"results\.csv"):
            calibration.read(path)


def test_a_published_value_that_is_cut_off_is_refused(tmp_path):
    head = "paper,table_or_figure,dataset,model,density,metric,value"
    (tmp_path / "values.csv").write_text(f"{head}\n,Table 1,CELEBA,,GMM,FID_sample\n")
    with pytest.raises(UserError, match="no table of published values"):
        read_published(tmp_path / "values.csv")


def test_an_index_with_an_endless_number_names_the_line(tmp_path):
    (tmp_path / "index.txt").write_text("a b c\n" + "9" * 5000 + " 1 1.jpg\n")
    with pytest.raises(UserError, match="line 2"):
        read_index(tmp_path / "index.txt")


def test_weights_that_declare_more_than_they_hold_are_refused_before_they_are_made(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    check_sizes(path)
    content = path.read_bytes()
    assert content.count(b"cpuq\x06K\x02") == 1
    path.write_bytes(content.replace(b"cpuq\x06K\x02", b"cpuq\x06J\xff\xff\xff\x7f"))
    with pytest.raises(ValueError, match="declares sizes of"):
        check_sizes(path)
    with pytest.raises(ValueError, match="does not hold Inception weights"):
        load_inception(path)


def test_members_of_an_archive_that_are_no_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", b"text")
    with pytest.raises(UserError, match="cannot be read"):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")


def test_a_flipped_bit_in_an_archive_is_found_by_its_own_checksum(tmp_path):
    stream = io.BytesIO()
    np.savez(stream, images=IMAGES)
    content = bytearray(stream.getvalue())
    content[len(content) // 2] ^= 1
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(UserError, match="Bad CRC-32"):
        load_dataset(f"npz:{tmp_path / 'x.npz'}")
