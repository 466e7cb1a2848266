"""Molecules: penalised logP against values computed elsewhere, and what is no molecule."""

from __future__ import annotations

import math
import subprocess
import sys

import networkx
import numpy as np
import pytest
from aebench.metrics import penalised_logp, string_scores
from aebench.metrics.molecules import canonical_smiles, largest_cycle
from rdkit import Chem

KNOWN = {
    "CCCCCCCCCC": 3.539272,  # decane
    "c1ccccc1": 2.095172,  # benzene
    "CC(=O)Oc1ccccc1C(=O)O": 1.136788,  # aspirin
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C": -1.355562,  # caffeine
    "C1CCCCCCC1": -3.897403,  # cyclooctane
}
# Rings that share bonds, of which several bases of cycles can be chosen.
FUSED = [
    *("c1ccc2ccccc2c1", "C1CC2CCC1CC2", "C1C2CC3CC1CC(C2)C3", "C12C3C4C1C5C2C3C45"),
    "CC12CCC3C(C1CCC2O)CCC4=CC(=O)CCC34C",
    "CN1CCC23C4C1CC5=C2C(=C(C=C5)O)OC3C(C=C4)O",
    "O=C(NC1CC2CCC(C1)N2Cc1ccccc1)c1cccc2c1OCCO2",
    "c1ccc2c(c1)c1cccc3c4ccccc4cc2c13",
]
INVALID = ["", " ", "C C", "C\n", " C", "C(", "C)", "c1ccc", "C1CC", "X", "C=F=C", "[Q]", "Cé"]
INVALID += ["C\0C", "C" * 5001, "CC |c:1|", "CCO ethanol", "CN(C)(C)(C)C", "%10", "F=F", "1"]


@pytest.mark.parametrize("smiles", KNOWN)
def test_penalised_logp_is_that_computed_elsewhere(smiles):
    assert penalised_logp(smiles) == pytest.approx(KNOWN[smiles], abs=1e-3)


@pytest.mark.parametrize("text", INVALID)
def test_what_is_no_molecule_scores_nan(text):
    assert math.isnan(penalised_logp(text))
    assert canonical_smiles(text) is None


def test_rdkit_says_nothing_of_what_is_no_molecule(capfd):
    for text in INVALID:
        penalised_logp(text)
    string_scores([*INVALID, *KNOWN], "smiles")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("smiles", FUSED)
def test_all_ways_to_write_a_molecule_score_the_same(smiles):
    molecule = Chem.MolFromSmiles(smiles)
    written = Chem.MolToRandomSmilesVect(molecule, 20, randomSeed=7)
    assert len(set(written)) > 3
    for other in written:
        assert penalised_logp(other) == pytest.approx(penalised_logp(smiles), abs=1e-9)
        assert canonical_smiles(other) == canonical_smiles(smiles)


@pytest.mark.parametrize("smiles", FUSED + list(KNOWN))
def test_the_largest_cycle_is_the_published_one_of_a_canonical_smiles(smiles):
    molecule = Chem.MolFromSmiles(Chem.MolToSmiles(Chem.MolFromSmiles(smiles)))
    graph = networkx.Graph(Chem.GetAdjacencyMatrix(molecule))
    expected = max((len(cycle) for cycle in networkx.cycle_basis(graph)), default=0)
    assert largest_cycle(molecule) == expected


def test_a_ring_costs_as_much_as_it_has_atoms_above_six():
    rings = [penalised_logp("C1" + "C" * (size - 1) + "1") for size in (6, 7, 8)]
    steps = np.diff(rings)  # A further carbon atom changes the other two terms, too.
    np.testing.assert_allclose(steps, -1 / 0.2860212110245455, atol=0.7)


def test_many_molecules_score_as_each_of_them():
    texts = [*KNOWN, *INVALID, *KNOWN, *FUSED]
    scores, valid = string_scores(texts, "smiles")
    np.testing.assert_array_equal(scores, [penalised_logp(text) for text in texts])
    known, invalid, fused = (
        [flag] * n for flag, n in zip((1, 0, 1), (5, len(INVALID), 8), strict=True)
    )
    assert valid.tolist() == [*known, *invalid, *known, *fused]


@pytest.mark.parametrize("package", ["rdkit", "networkx"])
def test_without_a_package_one_line_says_how_to_install_it(package):
    code = f"""
import sys
sys.modules["{package}"] = None
from aebench.metrics import expression_score, penalised_logp
expression_score("x")
try:
    penalised_logp("C")
except ValueError as error:
    print(type(error).__name__, isinstance(error, ImportError), error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        f"MissingPackage True Molecules need {package}, which is not installed: "
        "pip install aebench[structured]\n"
    )


def test_metrics_and_expressions_load_no_library_of_molecules():
    code = (
        "import sys; from aebench.metrics import expression_score; expression_score('x');"
        "from aebench.bench.evaluation.metric_lookup import metrics; metrics();"
        "print([m for m in ('rdkit', 'fcd_torch', 'botorch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
