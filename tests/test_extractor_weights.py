"""Scores go with the weights of their extractor: other weights, other scores."""

from __future__ import annotations

import json
import shutil

import pytest
from aebench.bench.evaluation import evaluation, identity
from aebench.bench.pages.report import build_report
from aebench.metrics import extractor
from aebench.metrics.features.pixels import Pixels

ONE = ('["ae", "vae"]', '"ae"')


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Registers pixels times a factor that stands in a file, and returns a function to set it."""
    path = tmp_path / "factor.txt"

    class Weighted(Pixels):
        base_name = "weighted"

        def find_weights(self):
            if path.exists():
                return path
            raise extractor.MissingWeights("The factor is not here.")

        def embed(self, images):
            return float(self.weights_path.read_text()) * super().embed(images)

    def put(factor: str) -> None:
        path.unlink(missing_ok=True)
        if factor:
            path.write_text(factor)
        evaluation._built.cache_clear()  # What another process would find.
        identity._extractor_identity.cache_clear()

    monkeypatch.setitem(extractor.EXTRACTORS, "weighted", Weighted)
    yield put
    evaluation._built.cache_clear()
    identity._extractor_identity.cache_clear()


def distances(out):
    """Returns the distance of reconstructions by kind of features, of each run and reference."""
    rows = [
        row
        for path in out.glob("runs/*/result.json")
        for row in json.loads(path.read_text())["rows"]
    ]
    return {
        (row["objective"], row["features"].partition(":")[0]): (row["features"], row["value"])
        for row in rows
        if row["metric"] == "fd" and row["images"] == "reconstruction"
    }


@pytest.fixture
def scored(weights, suite_file, aebench, tmp_path):
    """Returns a function that runs the suite, and the folder, scored by a factor of 1."""
    weights("1.0")
    suite = suite_file(
        ONE, ('["reconstruction"]', '["frechet"]'), ('["pixels"]', '["pixels", "weighted"]')
    )
    assert aebench(suite)[0] == 0
    return lambda: aebench(suite), tmp_path / "out"


def test_what_an_extractor_with_other_weights_scored_is_scored_anew(scored, weights):
    go_on, out = scored
    before = distances(out)
    weights("10.0")
    code, told = go_on()
    assert code == 0 and "1 evaluated" in told
    after = distances(out)
    assert len(before) == len(after) > 2
    for key, (name, value) in after.items():
        if key[1] == "pixels":
            assert before[key] == (name, value)
        else:
            assert before[key][0] != name and value == pytest.approx(100 * before[key][1])
    assert "1 complete" in go_on()[1]


def test_scores_stand_where_the_weights_of_their_extractor_are_not_here(weights):
    rows = [{"features": "weighted:0123456789ab"}, {"features": ""}, {"features": "pixels:-"}]
    weights("1.0")
    assert identity.has_other_weights(rows, ("pixels", "weighted"))
    assert not identity.has_other_weights(rows, ("pixels",))
    weights("")
    assert not identity.has_other_weights(rows, ("pixels", "weighted"))


def test_rows_alone_are_not_the_scores_asked_for_where_an_extractor_has_other_weights(
    scored, weights
):
    go_on, out = scored
    build_report(out)
    shutil.rmtree(out / "runs")
    assert "1 known by its rows" in go_on()[1]
    weights("10.0")
    assert "1 stale (needs its weights)" in go_on()[1]
