"""The notebook among the examples: executed from top to bottom, committed without outputs."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path(__file__).parent.parent / "examples" / "compare.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    client.execute(env={**os.environ, "OMP_NUM_THREADS": "1"})
    return notebook


def outputs_of(notebook, start):
    (cell,) = (c for c in notebook.cells if c.cell_type == "code" and c.source.startswith(start))
    return cell.outputs


def test_the_notebook_is_committed_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 4 and not any(c.outputs or c.execution_count for c in cells)


@pytest.mark.long
def test_a_model_shows_as_a_page_and_as_a_picture_with_a_bar_over_its_steps(executed):
    outputs = outputs_of(executed, "model = fit")
    (shown,) = (o.data for o in outputs if o.output_type == "execute_result")
    assert "<img src" in shown["text/html"] and "mse" in shown["text/html"]
    picture = Image.open(io.BytesIO(base64.b64decode(shown["image/png"])))
    assert picture.size == (8 * 8, 4 * 8)  # Test images, reconstructions, two densities.
    bar = "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stderr")
    assert "300/300" in bar


@pytest.mark.long
def test_the_comparison_ends_in_a_table_of_objectives_and_densities(executed):
    (shown,) = (o.data for o in outputs_of(executed, "samples =") if "data" in o)
    for name in ("ae", "vae", "rae", "gaussian", "gmm-10", "prior"):
        assert f"<th>{name}</th>" in shown["text/html"]
