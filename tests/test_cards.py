"""Model cards: what they say, of which runs, and that hostile names stay text."""

import json
import re
import runpy
from pathlib import Path

import pytest
from aebench.bench.cli.main import main
from aebench.bench.figures.run_files import RunFiles
from aebench.bench.pages.cards import card_names, render_card, write_cards
from aebench.bench.records.results import read_results

FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
make_row, table_rows, likelihood_rows, write_runs, frame = (
    FACTORY[name] for name in ("make_row", "table_rows", "likelihood_rows", "write_runs", "frame")
)
HOSTILE = "x](javascript:alert(1)) | <script>alert(1)</script>\n# `y`/../../z"


def cards_of(folder, rows):
    write_runs(folder, rows, arrays=False, log=False)
    return {path.stem: path for path in write_cards(folder, read_results(folder).rows)}


def card_of(folder, rows):
    return render_card(folder, rows, RunFiles(folder))


def line_of(card, label):
    """Returns the cells of the table line that begins with a label."""
    found = re.search(rf"^\| {re.escape(label)} +\|(.*)\|$", card, re.MULTILINE)
    return [cell.strip() for cell in found.group(1).split(" | ")]


def test_each_model_has_one_card_and_the_floor_none(tmp_path):
    cards = cards_of(tmp_path, table_rows(objectives=("ae", "vae"), seeds=(0, 1)))
    assert set(cards) == {f"{name}-fashion-mini-unit-d16" for name in ("ae", "vae")}
    assert all(path.parent == tmp_path / "cards" for path in cards.values())


def test_scores_have_the_interval_over_seeds_their_conditions_and_their_kind(tmp_path):
    rows = [make_row(seed=seed, value=value) for seed, value in enumerate((1.0, 3.0, 2.0))]
    rows += likelihood_rows(seeds=(0,), levels={"ae": 5.1}, sizes=(16,), stderr=0.05, value=5.0)
    card = card_of(tmp_path, frame(r | {"backbone_hash": "ab" * 8} for r in rows))
    conditions = "lite0@64:579344248a93, real 1000, generated 1000"
    found = line_of(card, "fd")
    assert found[:4] == ["reconstruction", r"2.0 \[0, 4.5\] (3)", "0.0 to 4.5", "lower"]
    assert found[-1] == conditions
    found = line_of(card, "bits_per_dim")
    assert found[1:3] == ["c ≤ 5.00 ± 0.10 (1)", "4.90 to 5.10"]
    assert found[-2:] == ["lower bound, completed", "real 1000, K 500"]


def test_the_card_has_the_settings_and_the_checksum_of_the_weights_on_record(tmp_path):
    rows = [make_row(seed=seed) for seed in (0, 1)]
    write_runs(tmp_path, rows, arrays=False, log=False)
    path = tmp_path / "runs" / rows[0]["run"] / "result.json"
    origin = {"hyperparameters": {"beta": 0.25}, "config": {"training": {"batch_size": 77}}}
    document = json.loads(path.read_text()) | {"origin": origin | {"weights": "ab" * 32}}
    path.write_text(json.dumps(document))
    card = card_of(tmp_path, read_results(tmp_path).rows)
    assert line_of(card, "hyperparameters") == ["beta=0.25"]
    assert line_of(card, "batch size") == ["77"]
    assert line_of(card, "0")[-1] == "ab" * 32
    assert line_of(card, "1")[-1] == "not on record"


@pytest.mark.parametrize("text", ['{"config": {"training"', "[1]", '{"config": {"training": 3}}'])
def test_a_broken_settings_file_leaves_a_card_from_the_rows(tmp_path, text):
    rows = [make_row()]
    write_runs(tmp_path, rows, arrays=False, log=False)
    (tmp_path / "runs" / rows[0]["run"] / "config.json").write_text(text)
    card = card_of(tmp_path, read_results(tmp_path).rows)
    assert line_of(card, "steps taken") == ["1000"]


def test_a_lost_run_and_remarks_are_named(tmp_path):
    rows = [make_row(seed=0, reason="fewer rows than features")]
    rows.append(make_row(seed=1, status="diverged", metric="loss", reason="nan at step 412"))
    card = card_of(tmp_path, frame(rows))
    assert line_of(card, "1")[1] == "diverged"
    assert "- diverged: nan at step 412" in card
    assert "value ¹" in card and "¹ fewer rows than" in card
    assert re.search(r"^\| loss", card, re.MULTILINE) is None


def test_hostile_names_stay_text_inside_the_folder(tmp_path):
    names = ("objective", "dataset", "device", "commit", "reason", "unit", "features", "split")
    row = make_row(run="../../../outside", **dict.fromkeys(names, HOSTILE), versions=HOSTILE)
    (path,) = write_cards(tmp_path / "a" / "b", frame([row]))
    assert path.parent == tmp_path / "a" / "b" / "cards"
    assert re.fullmatch(r"[A-Za-z0-9_.-]+\.md", path.name)
    card = path.read_text(encoding="utf-8")
    for character in "<>`]":
        assert re.search(rf"(?<!\\){re.escape(character)}", card) is None
    headings = [line for line in card.splitlines() if line.startswith("#")]
    assert len(headings) == 1
    assert len({line.count(" | ") for line in card.splitlines() if line.startswith("| x")}) <= 2


def test_a_file_outside_the_runs_is_never_read(tmp_path):
    (tmp_path / "config.json").write_text('{"hyperparameters": {"secret": 1}}')
    card = card_of(tmp_path / "suite", frame([make_row(run="../..")]))
    assert "secret" not in card


def test_names_that_would_share_a_file_get_a_digest(tmp_path):
    base = {"objective": "ae", "variant": "", "dataset": "d", "space": "unit", "latent_dim": 2}
    names = card_names([base | {"split": "a"}, base | {"split": "b"}, base | {"objective": "AE"}])
    assert len({name.casefold() for name in names}) == 3
    assert card_names([base]) == ["ae-d-unit-d2"]
    long = card_names([base | {"dataset": "x" * 400}])
    assert len(long[0]) <= 100


def test_report_writes_cards_on_request_and_then_keeps_them_up_to_date(tmp_path, monkeypatch):
    from aebench.bench.pages import report

    monkeypatch.setattr(report, "write_figures", lambda rows, arrays, folder: [])
    write_runs(tmp_path, [make_row(value=3.0)], arrays=False, log=False)
    assert main(["report", str(tmp_path)]) == 0
    assert not (tmp_path / "cards").exists()
    assert main(["report", str(tmp_path), "--cards"]) == 0
    (card,) = (tmp_path / "cards").iterdir()
    assert f"(cards/{card.name})" in (tmp_path / "README.md").read_text(encoding="utf-8")
    write_runs(tmp_path, [make_row(value=4.0)], arrays=False, log=False)
    assert main(["report", str(tmp_path)]) == 0
    assert line_of(card.read_text(encoding="utf-8"), "fd")[1] == "4.00 (1)"


def test_a_card_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    (path,) = cards_of(tmp_path, [make_row(value=3.0)]).values()
    before = path.read_bytes()

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_cards(tmp_path, frame([make_row(value=4.0)]))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_run_whose_scores_failed_is_not_just_called_trained(tmp_path):
    rows = [make_row(seed=seed) for seed in (0, 1)]
    rows.append(make_row(seed=1, metric="kid", status="failed", reason="Images have nan values."))
    card = card_of(tmp_path, frame(rows))
    assert line_of(card, "0")[1] == "trained"
    assert line_of(card, "1")[1] == "trained, some scores failed"
