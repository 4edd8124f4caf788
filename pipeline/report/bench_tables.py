"""Tables of documentation pages that are made of recorded benchmarks in reports/recorded/bench, as Markdown."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd

from pipeline import paths
from pipeline.report.tables import markdown

BENCH = paths.RECORDED / "bench"
_NEAREST = r"(soft|hard)-(?!exact|q-dense).*"
"""Objectives with pseudo-labels on nearest neighbours, but the exact ones."""
STEPS = {
    "masks, size targets, barriers, seeds, no CRF": (
        r"masks|size|seeds(-size)?|.*barrier|.*suppression|reverse-kl",
        "",
    ),
    "dense CRF loss, alone or with others": (r"(seeds-size|seeds|size|log-barrier)-crf|dense-crf.*", ""),
    "Potts loss on 8 neighbours, or sparse": (r"grid-crf.*|nonlocal-crf", ""),
    "hard proposals, without the graph cuts": (r"trust-region.*", ""),
    "soft pseudo-labels, 20 gradient steps": (_NEAREST, "gradient, 20 steps"),
    "soft pseudo-labels, 200 gradient steps, as published": (_NEAREST, "gradient, 200 steps"),
    "soft pseudo-labels, fast solver, 3 fine steps": (_NEAREST, "fast, 3 steps"),
    "soft pseudo-labels, fast solver at its own pace": (_NEAREST, "fast"),
    "soft pseudo-labels, dense neighbourhood, 20 steps": (r".*-dense", "dense gradient, 20 steps"),
    "soft pseudo-labels, exact": (r"soft-exact.*", "random walker"),
}
"""Line of the table of steps to the objectives and the solver that it sums up."""


WAYS = ("head on kept features", "frozen encoder at every step", "encoder trained too")
"""Ways to train in the order of their table."""


def _span(values: pd.Series, digits: int) -> str:
    """Return the least and the greatest value, or one where they are printed alike."""
    return "-".join(dict.fromkeys(f"{value:.{digits}f}" for value in (values.min(), values.max())))


def steps() -> str:
    """Return time and memory of a step, from the least to the greatest of the objectives that each line sums up."""
    table = pd.read_csv(BENCH / "steps.csv", keep_default_na=False)
    table = table[table["network"] == "resnet101"]
    rows = []
    for name, (objectives, solver) in STEPS.items():
        found = table[table["objective"].str.fullmatch(objectives) & (table["solver"] == solver)]
        rows.append([name, _span(found["ratio"], 2), _span(found["memory_mb"], 1)])
    return markdown(["objectives", "time, ratio to plain cross-entropy", "memory, MB"], rows)


def published_networks() -> str:
    """Return the time of plain cross-entropy on the published networks, and ratios of other objectives to it."""
    table = pd.read_csv(BENCH / "steps-published-networks-cpu.csv", keep_default_na=False)
    rows = []
    for network, name in (("resnet101", "DeepLabV3+, ResNet-101"), ("mobilenet", "DeepLabV3+, MobileNetV2")):
        of_network = table[table["network"] == network].to_dict("records")
        of = {(row["objective"], row["solver"]): row for row in of_network}
        shown = [("dense-crf", ""), ("soft-cd", "gradient, 200 steps"), ("soft-cd", "fast")]
        plain = of["cross-entropy", ""]["step_ms"] / 1000
        rows.append([name, f"{plain:.1f}", *(f"{of[key]['ratio']:.1f}" for key in shown)])
    header = ["network", "plain cross-entropy, s", "dense CRF loss", "P_CD, 200 steps as published", "P_CD, fast solver"]
    return markdown(header, rows)


def solvers() -> str:
    """Return how much faster than the published procedure each solver is, and to what energy it comes."""
    table = pd.read_csv(BENCH / "solver-voc-256.csv", keep_default_na=False)
    of_potts = table[table["energy"].str.startswith("H_CCE")]
    rows = []
    for (solver, steps), of in of_potts.groupby(["solver", "steps"], sort=False):
        rows.append(
            [str(solver), str(steps), _span(of["speed_ratio"].astype(float), 0), _span(of["energy_ratio"].astype(float), 2)]
        )
    return markdown(["solver", "fine steps", "times as fast", "energy, ratio"], rows)


def crf_filters(name: str) -> str:
    """Return time and error of the filters of the dense CRF, medians over the photographs of a recorded table."""
    table = pd.read_csv(BENCH / f"{name}.csv")
    rows = []
    for method, of in table.groupby("method", sort=False):
        middle = of.median(numeric_only=True)
        error, worst, scaled = (f"{100 * value:.1f} %" for value in (middle["error"], of["error"].max(), middle["scaled_error"]))
        measured = (middle["total_ms"], middle["speedup"], middle["reused_ms"], middle["reused_speedup"])
        times = [f"{value:.{digits}f}" for value, digits in zip(measured, (0, 1, 0, 1))]
        rows.append([str(method), *times, error, worst, scaled, f"{middle['scale']:.2f}"])
    header = ["method", "total ms", "speed-up", "reused ms", "speed-up", "error", "worst", "after the best scale", "scale"]
    return markdown(header, rows)


def kept_features() -> str:
    """Return pictures per second of the ways to train, and ratios to the slowest one and to the next."""
    table = pd.read_csv(BENCH / "features.csv").iloc[: len(WAYS)]
    speeds = table["images_per_second"].tolist()
    following = [f"{fast / slow:.1f}" for fast, slow in pairwise(speeds)]
    rows = [
        [way, f"{speed:.1f}", f"{ratio:.1f}", below]
        for way, speed, ratio, below in zip(WAYS, speeds, table["ratio"], [*following, ""], strict=True)
    ]
    return markdown(["", "pictures per second", "ratio to the last", "to the one below"], rows)


def commands() -> str:
    """Return seconds of DVC's everyday commands, a number for each turn; with more runs in a column of their own."""
    table = pd.read_csv(BENCH / "commands.csv")
    sizes = sorted(table["times"].unique())
    rows = []
    for command, of in table[table["command"] != "import torch"].groupby("command", sort=False):
        turns = [of.loc[of["times"] == times, "seconds"] for times in sizes]
        shown = (", ".join(f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in turn) for turn in turns)
        rows.append([f"`{command}`", *shown])
    return markdown(["command", *(f"seconds, {times:g} times the runs" if times > 1 else "seconds" for times in sizes)], rows)
