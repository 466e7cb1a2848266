"""What a training costs: seconds that compare, which are those of one device."""

from __future__ import annotations

from ..records.results import Rows
from .labels import without_floor

SETTING = ("objective", "variant", "space")


def on_one_device(rows: Rows) -> Rows:
    """Returns rows whose compute seconds are kept where they are of one common device.

    Seconds of unlike machines are no common measure. Of the devices the one is taken on which
    most methods ran; of several such a CPU, whose seconds do not depend on what else went on
    there, as those of a shared GPU do; then that of most runs, then the first by name.
    """
    device = _common_device(rows)
    return rows.assign(compute_seconds=rows["compute_seconds"].where(rows["device"] == device))


def device_word(rows: Rows) -> str:
    """Returns ``CPU`` or ``GPU``, whose seconds `on_one_device` keeps."""
    return "CPU" if _common_device(rows).startswith("cpu") else "GPU"


def device_note(rows: Rows) -> str:
    """Returns the sentences of a caption on whose seconds are shown, and over how many runs."""
    trained = without_floor(rows)
    known = trained[trained["compute_seconds"].notna()]
    if not len(known):
        return ""
    device = _common_device(rows)
    runs = known[known["device"] == device].groupby("method")["run"].nunique()
    least, most = int(runs.min()), int(runs.max())
    count = f"{most} of each model" if least == most else f"{least} to {most} of each model"
    words = "means over" if most > 1 else "those of"
    there = trained.loc[trained["device"] == device, "method"]
    lacking = set(trained["method"]) - set(there)
    more = " A model with no run there has no seconds." if lacking else ""
    return f"Seconds are {words} the runs on {device}, {count}.{more}"


def _common_device(rows: Rows) -> str:
    trained = without_floor(rows)
    known = trained[trained["compute_seconds"].notna()]
    counts = {
        str(device): (
            own.groupby(list(SETTING), dropna=False).ngroups,
            str(device).startswith("cpu"),
            own["run"].nunique(),
        )
        for device, own in (known if len(known) else trained).groupby("device", sort=True)
    }
    return max(counts, key=lambda device: counts[device], default="")
