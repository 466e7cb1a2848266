"""Names under which metrics are known elsewhere."""

from __future__ import annotations

from ...metrics.registry import Metric
from ..errors import UserError
from .metric_lookup import find_metric, metrics

INCEPTION = " with Inception features: '--features inception', or features = [\"inception\"]"
LIKELIHOOD = "no metric but a setting of runs, evaluation.likelihood_images"
USUAL = {
    "fid": f"'frechet'{INCEPTION}",
    "ifid": f"'frechet' with evaluation.nearest_weight = 0.5, for runs,{INCEPTION}",
    "kid": f"'kernel'{INCEPTION}",
    "mmd": "'kernel'",
    "fd": "'frechet'",
    "fd_inf": "'frechet-inf'",
    "precision": "'precision-recall'",
    "recall": "'precision-recall'",
    "density": "'density-coverage'",
    "coverage": "'density-coverage'",
    **dict.fromkeys(("likelihood", "nll", "elbo", "bpd", "bits-per-dim"), LIKELIHOOD),
    "mse": "'reconstruction'",
}


def find_named_metric(name: str) -> Metric:
    """Returns the metric that a user named.

    Raises:
        UserError: It is known under another name here, which the message says.
        UnknownName: There is none; the message has the near match and the list.
    """
    if name not in metrics() and (ours := USUAL.get(name.lower())):
        raise UserError(f"Unknown metric '{name}'. Here it is {ours}.")
    return find_metric(name)
