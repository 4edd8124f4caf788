"""Figure 3 (a-c) of [SSL]: three cross-entropies as functions of the prediction, for several fixed soft labels of two classes.

(a) The standard one (Eq. 7) is lowest where the prediction repeats the label, uncertainty included. (b) The reverse one (Eq. 8)
and (c) the collision one (Eq. 9) are lowest at a decided prediction, and flat for the label (1/2, 1/2), which says nothing.
A dot marks the lowest point of each curve that has one.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.grid import open_unit_interval
from pipeline.report.style import BLUE, GREEN, GREY, ORANGE, TEXT_WIDTH_IN, VERMILION, new_figure

NAMES = {"ce": "standard", "rce": "reverse", "cce": "collision"}
LABELS = (0.5, 0.7, 0.9, 0.99)
_COLORS = (BLUE, GREEN, ORANGE, VERMILION)
_LINES = ("-", "--", "-.", ":")
_FLAT = 1e-9


def compute(_: Data) -> pd.DataFrame:
    """Return the three cross-entropies against the prediction.

    Returns:
        One row per point: series, cross_entropy (ce, rce or cce), label (first entry of y), prediction (first entry of sigma)
        and nats.
    """
    import torch

    from pipeline.losses.cross_entropy import CROSS_ENTROPIES

    sigma = torch.from_numpy(open_unit_interval())  # the standard one is infinite at the ends themselves
    log_probs = torch.stack([sigma, 1 - sigma]).log()[None, :, :, None]
    frames = []
    for key, name in NAMES.items():
        for label in LABELS:
            pseudo_labels = torch.tensor([label, 1 - label], dtype=torch.float64).reshape(1, 2, 1, 1).expand_as(log_probs)
            nats = CROSS_ENTROPIES[key](log_probs, pseudo_labels).flatten()
            series = f"{name}, y = ({label:g}, {1 - label:.2g})"
            columns = {"series": series, "cross_entropy": key, "label": label, "prediction": sigma, "nats": nats}
            frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return one panel per cross-entropy with one line per label."""
    figure = new_figure(TEXT_WIDTH_IN, 2.5)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, (key, name), letter in zip(panels, NAMES.items(), "abc", strict=True):
        for label, line, color in zip(LABELS, _LINES, _COLORS, strict=True):
            curve = frame[(frame["cross_entropy"] == key) & (frame["label"] == label)]
            text = f"y = ({label:g}, {1 - label:.2g})" if key == "ce" else None
            axes.plot(curve["prediction"], curve["nats"], line, color=color, label=text)
            lowest = curve.nsmallest(1, "nats")
            if curve["nats"].max() - curve["nats"].min() > _FLAT:
                axes.plot(lowest["prediction"], lowest["nats"], "o", color=color, clip_on=False)
        formula = rf"$H_\mathrm{{{key.upper()}}}(y, \sigma)$"
        axes.set(xlim=(0, 1), ylim=(0, 3), xticks=(0, 0.5, 1), title=f"({letter}) {name} {formula}")
        axes.set_xlabel(r"prediction $\sigma^1$ (probability)")
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[0].plot([], [], "o", color=GREY, label="lowest point")
    figure.legend(loc="outside upper center", ncols=5, handlelength=3.0)
    return figure


ARTIFACT = Artifact(
    id="b-fig3abc",
    title="Three cross-entropies against the prediction",
    shows="Three cross-entropies as functions of the prediction for fixed soft labels.",
    paper="The standard one copies the uncertainty of the label; the collision one ignores a label that says nothing.",
    look_for="The flat line for the label (1/2, 1/2) in panels (b) and (c).",
    scale=None,
    compute=compute,
    draw=draw,
)
