"""Molecules written as SMILES: which texts are one, and their penalised logP, by rdkit."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import Floats

# Means and standard deviations over ZINC250k, of logP, -SA and -ring.
LOG_P = (2.4570953396190123, 1.434324401111988)
ACCESSIBILITY = (-3.0525811293166134, 0.8335207024513095)
RING = (-0.0485696876403053, 0.2860212110245455)

LONGEST = 5000  # rdkit writes a molecule by recursion, which crashes at 20,000 atoms in a row.


class MissingPackage(ImportError, ValueError):
    """A package of an extra is not installed; the message says how to install it."""


def penalised_logp(smiles: str) -> float:
    """Scores a molecule: ``norm(logP) + norm(-SA) + norm(-ring)``, higher is better.

    logP is Crippen's, SA the synthetic accessibility (1 to 10) of rdkit's Contrib, and ring is
    by how many atoms the largest cycle of the cycle basis is above 6. ``norm`` takes mean and
    standard deviation over ZINC250k. A basis of cycles depends on the order of the atoms, which
    here is that of the canonical SMILES, so that all ways to write a molecule score the same.

    References:
        Grammar Variational Autoencoder (Kusner et al., 2017), Section 4.2, arXiv:1703.01925;
        Estimation of Synthetic Accessibility Score of Drug-like Molecules (Ertl and
        Schuffenhauer, 2009).

    Args:
        smiles: A molecule.

    Returns:
        The score; nan where the text is no molecule. The empty text is none, nor is one with
        blanks or letters beyond ASCII, of which rdkit would read the part before them, nor one
        of more than 5,000 characters.

    Raises:
        MissingPackage: rdkit or networkx is not installed.

    Example:
        >>> round(penalised_logp("CCCCCCCCCC"), 3)  # Decane.
        3.539
        >>> penalised_logp("")
        nan
    """
    molecule = read_molecule(smiles)
    return float("nan") if molecule is None else _score(molecule)


def penalised_logps(texts: Sequence[str]) -> tuple[Floats, Any]:
    """Scores many molecules.

    Returns:
        The scores, float64 (N,), nan where invalid, and which texts are molecules, bool (N,).

    Raises:
        MissingPackage: rdkit or networkx is not installed.
    """
    require_rdkit()
    known = {text: penalised_logp(text) for text in dict.fromkeys(texts)}
    scores = np.array([known[text] for text in texts], dtype=np.float64)
    return scores, ~np.isnan(scores)


def canonical_smiles(text: str) -> str | None:
    """Returns the molecule's canonical SMILES, or ``None`` where the text is no molecule.

    Raises:
        MissingPackage: rdkit is not installed.
    """
    molecule = read_molecule(text)
    return None if molecule is None else str(_rdkit().MolToSmiles(molecule))


def read_molecule(text: str) -> Any:  # noqa: ANN401
    """Returns rdkit's molecule, or ``None`` where the text is none; rdkit says nothing.

    Raises:
        MissingPackage: rdkit is not installed.
    """
    chem = _rdkit()
    readable = text.isascii() and text.isprintable() and " " not in text
    if not readable or not 0 < len(text) <= LONGEST:
        return None
    from rdkit import rdBase

    with rdBase.BlockLogs():
        return chem.MolFromSmiles(text)


def require_rdkit() -> None:
    """Checks that molecules can be read and scored.

    Raises:
        MissingPackage: rdkit or networkx is not installed.
    """
    _rdkit()
    _accessibility()
    _networkx()


def _score(molecule: Any) -> float:  # noqa: ANN401
    from rdkit.Chem import rdMolDescriptors

    terms = (
        (rdMolDescriptors.CalcCrippenDescriptors(molecule)[0], LOG_P),
        (-_accessibility()(molecule), ACCESSIBILITY),
        (-float(max(0, largest_cycle(molecule) - 6)), RING),
    )
    return float(sum((value - mean) / deviation for value, (mean, deviation) in terms))


def largest_cycle(molecule: Any) -> int:  # noqa: ANN401
    """Returns the number of atoms in the largest cycle of networkx's cycle basis, 0 if none.

    The atoms are in the order of the canonical SMILES, as in the published scores of data.
    """
    networkx = _networkx()
    _rdkit().MolToSmiles(molecule)  # Leaves the order in which it wrote the atoms.
    order = molecule.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"]
    rank = {atom: place for place, atom in enumerate(order)}
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()]
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(rank)))
    graph.add_edges_from(sorted(tuple(sorted((rank[a], rank[b]))) for a, b in bonds))
    return max(map(len, networkx.cycle_basis(graph)), default=0)


def _rdkit() -> Any:  # noqa: ANN401
    try:
        from rdkit import Chem
    except ImportError as error:
        raise _missing("rdkit") from error
    return Chem


def _networkx() -> Any:  # noqa: ANN401
    try:
        import networkx
    except ImportError as error:
        raise _missing("networkx") from error
    return networkx


@functools.cache
def _accessibility() -> Callable[[Any], float]:
    """Returns the synthetic accessibility score of rdkit's Contrib, 1 (easy) to 10."""
    _rdkit()
    from rdkit import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("sascorer", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise _missing("rdkit with its folder Contrib")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    score: Callable[[Any], float] = module.calculateScore
    return score


def _missing(package: str) -> MissingPackage:
    return MissingPackage(
        f"Molecules need {package}, which is not installed: pip install aebench[structured]"
    )
