"""Writes the page and the chart of speeds: ``python scripts/speed/page.py results/speed``.

From ``ratios.json``, which ``tox -e perf -- --speed-out DIR --speed-full`` writes, and
``gpu.json``, which ``gpu.py`` writes; what neither holds is said to be unmeasured.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aebench.bench.figures.canvas import save_figure
from aebench.bench.files.storage import write_atomically
from gpu import FILE as GPU_FILE

RATIOS = "ratios.json"
PAGE = "README.md"
Record = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """What a benchmark of the CPU measures, in words, and the least ratio where one is set."""

    benchmark: str
    what: str
    least: float | None = None

    @property
    def to_reach(self) -> str:
        """The least ratio as the table shows it."""
        return "-" if self.least is None else f"{self.least:g}"


GOALS = (
    *(
        Goal(f"training_step[conv-{name}]", f"training step of {name}, pythae's networks", least)
        for name, least in (("vae", 1.0), ("wae-mmd", 1.0), ("rae-l2", 1.6))
    ),
    *(
        Goal(f"{test}[{network}-{name}]", f"{what} of {name}, dense network on {size}", 3.0)
        for test, what in (
            ("training_step", "training step"),
            ("suite_on_two_cores", "steps of a suite"),
        )
        for network, size in (("dense", "28x28"), ("dense-8x8", "8x8"))
        for name in ("vae", "wae-mmd", "rae-l2", "rae-gp")
    ),
    Goal("frechet_distance[pytorch-fid]", "Fréchet distance, 2048 dimensions", 4.0),
    Goal("frechet_distance[torch-fidelity]", "Fréchet distance, 2048 dimensions", 4.0),
    Goal("neighbours", "k-NN metrics, one k", 3.0),
    Goal("neighbours_at_their_published_settings", "k-NN metrics, k = 3 and 5", 3.0),
    Goal("prd", "PRD, 20 clusters, 10 runs", 1.5),
    Goal("training_step[conv-rae-gp]", "training step of rae-gp, pythae's networks"),
    Goal("data_path[DataLoader]", "batches from memory"),
    Goal("data_path[DataLoader, whole batches]", "batches from memory"),
    Goal("start[help]", "`aebench --help`, from start to end"),
    Goal("start[list suites]", "`aebench list suites`, from start to end"),
    Goal("start[wrong arguments]", "`aebench run` refusing an unknown option"),
)
GPU_GOALS = (
    ("steps/s against pythae, same network and batch", "8 times", None),
    ("aef-linear on `aef-small`, no flows, batch 128, one run", "3,000 steps/s", "aef"),
    ("aef-linear on `aef-small`, no flows, batch 128, several runs", "6,000 steps/s", "several"),
    ("`rae-32`, batch 100, bfloat16", "35 % of the matrix rate", "rae"),
    ("Fréchet distance against scipy's root, 2048 dimensions", "30 times", "frechet"),
    ("Table 1 of the RAE paper, one data set, ten objectives", "under 30 minutes", None),
    ("AEF grid of one data set, 60 runs of 100,000 steps", "under an hour", None),
)


def write_page(folder: Path) -> None:
    """Writes the page and the chart from what the folder holds."""
    record = json.loads((folder / RATIOS).read_text(encoding="utf-8"))
    gpu_file = folder / GPU_FILE
    gpu = json.loads(gpu_file.read_text(encoding="utf-8")) if gpu_file.is_file() else None
    draw(record["ratios"], folder)
    machine = record["machine"]
    parts = [
        "# Speed",
        "Ratios against peers, in one process on the same work by the least of several times: "
        "above 1 ours is faster. `tox -e perf -- --speed-full` measures them.",
        f"On {machine['cpu']}, {machine['cores']} cores, commit `{record['commit']}`, "
        f"{record['date']}; {_versions(record)}.",
        "![ratios](ratios.png)",
        "## CPU\n\n" + _cpu_table(record["ratios"]),
        _notes(record["ratios"]),
        "## GPU\n\n" + (_gpu_section(gpu) if gpu else _UNMEASURED + _gpu_table({})),
        _COMPILE,
    ]
    write_atomically(folder / PAGE, "\n\n".join(filter(None, parts)) + "\n")


def draw(ratios: list[Record], folder: Path) -> None:
    """Draws the ratios as bars on a logarithmic axis, with what is to be reached."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    wanted = {goal.benchmark: goal.least for goal in GOALS if goal.least is not None}
    known = {goal.benchmark: goal.what.replace("`", "") for goal in GOALS}
    labels = [f"{known.get(r['benchmark'], r['benchmark'])} / {r['peer']}" for r in ratios]
    values = [r["ratio"] for r in ratios]
    with plt.rc_context({"font.size": 8}):
        figure, axes = plt.subplots(figsize=(8, 0.24 * len(ratios) + 1), layout="constrained")
        places = range(len(ratios))[::-1]
        axes.barh(list(places), values, color="0.6")
        for place, row in zip(places, ratios, strict=True):
            end = row["ratio"]
            if row["benchmark"] in wanted:
                mark = wanted[row["benchmark"]]
                axes.plot([mark] * 2, [place - 0.4, place + 0.4], "k-", lw=2)
                if end <= mark < 1.4 * end:  # The label would lie on the mark.
                    end = mark
            label = f" {row['ratio']:.2g}"
            axes.text(end, place, label, va="center", clip_on=False)
        axes.axvline(1, color="black", lw=0.8, ls=":")
        axes.set_yticks(list(places), labels)
        axes.set_xscale("log")
        axes.set_xlim(right=max(values) * 1.6)
        axes.set_xlabel("peer's time / ours ↑ (mark: to reach)")
        save_figure(folder, "ratios", figure)
        plt.close(figure)


def _cpu_table(ratios: list[Record]) -> str:
    goals = {goal.benchmark: goal for goal in GOALS}
    lines = [
        "| what | peer | work | ours | peer's | ratio | to reach | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ratios:
        goal = goals.pop(row["benchmark"], None)
        least = goal.to_reach if goal else "-"
        reached = "-" if least == "-" else "yes" if row["ratio"] >= goal.least else "no"
        times = f"{_time(row['ours_seconds'])} | {_time(row['peer_seconds'])}"
        lines.append(
            f"| {goal.what if goal else row['benchmark']} | {row['peer']} | {row['work']} | "
            f"{times} | {row['ratio']:.2f} | {least} | {reached} |"
        )
    lines += [
        f"| {goal.what} | - | - | - | - | unmeasured | {goal.to_reach} | - |"
        for goal in goals.values()
    ]
    return "\n".join(lines)


def _notes(ratios: list[Record]) -> str:
    return "\n".join(f"- {note}." for note in dict.fromkeys(r["note"] for r in ratios) if note)


def _gpu_section(gpu: Record) -> str:
    about = (
        f"On {gpu['device']}, scale {gpu['scale']}, commit `{gpu['commit']}`, {gpu['date']}. "
        f"Matrix products reach {_rates(gpu['matrix_tflops'])}.\n\n"
    )
    lines = [
        "| objective | network | precision | steps | steps/s | share of the matrix rate |",
        "|---|---|---|---|---|---|",
    ]
    for row in gpu["steps"]:
        lines.append(
            f"| {row['objective']} | {row['backbone']} | {row['precision']} | {row['steps']} | "
            f"{row['steps_per_second']:,.0f} | {row['share_of_matrix_rate']:.0%} |"
        )
    shares = [f"{e['operation']} {e['share']:.0%}" for e in gpu.get("profile", [])[:8]]
    profile = f"\n\nWhere a step's time goes: {', '.join(shares)}." if shares else ""
    return about + _gpu_table(gpu) + "\n\n" + "\n".join(lines) + profile


def _gpu_table(gpu: Record) -> str:
    lines = ["| what | to reach | measured |", "|---|---|---|"]
    for what, least, key in GPU_GOALS:
        lines.append(f"| {what} | {least} | {_measured(gpu, key)} |")
    return "\n".join(lines)


def _measured(gpu: Record, key: str | None) -> str:
    steps = gpu.get("steps", [])
    if key == "aef":
        rates = [r["steps_per_second"] for r in steps if r["objective"] == "aef-linear"]
        return f"{max(rates):,.0f} steps/s" if rates else "unmeasured"
    if key == "several" and gpu.get("several"):
        best = max(gpu["several"], key=lambda r: r["steps_per_second"])
        return f"{best['steps_per_second']:,.0f} steps/s by {best['processes']} processes"
    if key == "rae":
        shares = [r["share_of_matrix_rate"] for r in steps if r["backbone"] == "rae-32"]
        return f"{min(shares):.0%} to {max(shares):.0%}" if shares else "unmeasured"
    if key == "frechet" and "frechet" in gpu:
        return f"{gpu['frechet']['ratio']:.0f} times"
    return "unmeasured"


def _rates(rates: Record) -> str:
    return ", ".join(f"{rate:.0f} TFLOP/s in {name}" for name, rate in rates.items())


def _versions(record: Record) -> str:
    return ", ".join(f"{name} {v}" for name, v in record["versions"].items() if v)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


_UNMEASURED = (
    "**Nothing here was measured: there was no GPU at hand when this page was written.** The "
    "recording of steps as CUDA graphs, bfloat16, TF32 and several processes on one GPU are "
    "written and tested on a CPU as far as a CPU can (`tests/test_engine.py`); "
    "`python scripts/speed/gpu.py results/speed` measures all of it in under ten minutes, and "
    "`python scripts/speed/page.py results/speed` puts it here.\n\n"
)
_COMPILE = """## What was tried and left out

`torch.compile` of the loss took a step of the dense network in one thread from 1.94 to 1.57 ms
(the VAE on 28x28 images; 1.10 to 0.88 ms on 8x8) and cost 34 s (10 s) to compile: it pays after
some 90,000 (45,000) steps, and needs a C++ compiler, so it is not used. Of the dense network's
step about half are matrix products, near the processor's rate already; the rest is some hundred
calls of a few microseconds each, which pythae pays for as well."""


def main() -> None:
    """Reads the argument and writes the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    write_page(parser.parse_args().folder)


if __name__ == "__main__":
    main()
