"""Figure 3 of [SIZE]: why the size-target loss is the forward and not the reverse KL divergence.

Two classes, so that the average prediction is one number in [0, 1]. For the targets v = (0.9, 0.1) and v = (0.5, 0.5) the
forward divergence KL(v || S) (solid, Eq. 2) climbs without bound as soon as a class of the target vanishes from the prediction;
the reverse divergence KL(S || v) (dashed, Eq. 7) stays finite there, so a network may drop the class.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.grid import open_unit_interval
from pipeline.report.style import BLUE, COLUMN_WIDTH_IN, VERMILION, new_figure

TARGETS = ((0.9, 0.1), (0.5, 0.5))
_COLORS = (BLUE, VERMILION)
_LINES = {"forward": "-", "reverse": "--"}
_FORMULAS = {"forward": r"$\mathrm{KL}(v\,\|\,\bar S)$", "reverse": r"$\mathrm{KL}(\bar S\,\|\,v)$"}


def compute(_: Data) -> pd.DataFrame:
    """Return both divergences for both targets.

    Returns:
        One row per point: series, divergence (forward or reverse), target (first entry of v), mean_prob (first entry of the
        average prediction) and nats.
    """
    import torch

    from pipeline.losses.size import forward_kl, reverse_kl

    first = torch.from_numpy(open_unit_interval())  # the ends themselves are infinite
    log_mean_probs = torch.stack([first, 1 - first], 1).log()
    frames = []
    for target in TARGETS:
        size_targets = torch.tensor(target, dtype=torch.float64).expand(len(first), 2)
        for name, divergence in {"forward": forward_kl, "reverse": reverse_kl}.items():
            values = divergence(log_mean_probs, size_targets)
            series = f"{name} KL, v = ({target[0]:g}, {target[1]:g})"
            columns = {"series": series, "divergence": name, "target": target[0], "mean_prob": first, "nats": values}
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return a line per divergence and target."""
    figure = new_figure(COLUMN_WIDTH_IN, 2.7)
    axes = figure.add_subplot()
    for target, color in zip(TARGETS, _COLORS, strict=True):
        for name, line in _LINES.items():
            rows = frame[(frame["divergence"] == name) & (frame["target"] == target[0])]
            label = f"{_FORMULAS[name]}, v = ({target[0]:g}, {target[1]:g})"
            axes.plot(rows["mean_prob"], rows["nats"], line, color=color, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 2.5))
    axes.set_xlabel(r"average prediction $\bar S^1$ (fraction of the image)")
    axes.set_ylabel("divergence (nats)")
    figure.legend(loc="outside upper center", ncols=2, handlelength=2.4, columnspacing=1.2)
    return figure


ARTIFACT = Artifact(
    id="a-fig3",
    title="Forward against reverse KL divergence",
    shows="Forward and reverse KL divergence between a size target and a predicted size, for two classes.",
    paper="The forward divergence grows without bound when a class vanishes from the prediction; the reverse one does not.",
    look_for="The steep ends of the solid lines, and the finite ends of the dashed ones.",
    scale=None,
    compute=compute,
    draw=draw,
)
