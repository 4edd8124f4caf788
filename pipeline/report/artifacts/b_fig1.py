"""Figure 1 of [SSL]: the six relaxations of the Potts model for two classes.

A distribution over two classes is one number x, for (x, 1 - x). Below, iso-lines of P over (x_i, x_j) in [0, 1]^2; above, the
same potential over two logits with x = 1 / (1 + exp(-2 l)), where the second-order relaxations (Table 1: bilinear, quadratic,
normalised quadratic) flatten out and the logarithmic ones (Table 2: collision cross-entropy, log-quadratic, collision
divergence) keep a slope.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D

from pipeline.report.artifact import Artifact, Data
from pipeline.report.style import RELAXATION_STYLE, TEXT_WIDTH_IN, new_figure

FAMILIES = (("bl", "q", "nq"), ("cce", "lq", "cd"))
"""Second-order relaxations, and below each its logarithm."""
_SCALES = (
    ("second-order relaxations", 1.0, (0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95)),
    ("logarithmic relaxations", 5.0, (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 4.0)),
)
"""Title, highest cost of the colour scale and iso-levels of each family."""
_COLORS = "cividis"


CONTOUR_POINTS = 31
"""Points along each side of [0, 1]^2; the outermost lie 0.001 inside, off the infinite corners."""
SURFACE_POINTS = 21
"""Points along each logit axis."""
LOGIT = 3.0
"""The logits reach from -LOGIT to LOGIT."""


def compute(_: Data) -> pd.DataFrame:
    """Return the six relaxations on a grid over probabilities and on one over logits.

    Returns:
        One row per point: series (P_BL ...), panel (contour or surface), x_i and x_j (contour only), logit_i and logit_j (surface
        only) and cost.
    """
    import torch

    from pipeline.losses.relaxations import RELAXATIONS

    def binary(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.flatten(), 1 - x.flatten()], 1)

    x = torch.linspace(0, 1, CONTOUR_POINTS, dtype=torch.float64).clamp(0.001, 0.999)
    logits = torch.linspace(-LOGIT, LOGIT, SURFACE_POINTS, dtype=torch.float64)
    grids = (("contour", "x", x, x), ("surface", "logit", logits, torch.sigmoid(2 * logits)))
    frames = []
    for key in (key for family in FAMILIES for key in family):
        for panel, name, positions, probabilities in grids:
            x_j, x_i = torch.meshgrid(probabilities, probabilities, indexing="ij")
            second, first = torch.meshgrid(positions, positions, indexing="ij")
            cost = RELAXATIONS[key](binary(x_i), binary(x_j))
            columns = {"series": f"P_{key.upper()}", "panel": panel, f"{name}_i": first.flatten(), f"{name}_j": second.flatten()}
            frames.append(pd.DataFrame({**columns, "cost": cost}))
    frame = pd.concat(frames, ignore_index=True)
    return frame[["series", "panel", "x_i", "x_j", "logit_i", "logit_j", "cost"]]


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return the six relaxations: surfaces above, contours below, one colour scale per family."""
    figure = new_figure(TEXT_WIDTH_IN, 8.2)
    halves = figure.add_gridspec(2, 1)
    parts = [figure.add_subfigure(halves[row]) for row in range(2)]
    letters = iter("abcdef")
    for part, family, (title, top, levels) in zip(parts, FAMILIES, _SCALES, strict=True):
        norm = PowerNorm(0.5 if top > 1 else 1.0, 0, top)
        grid = part.add_gridspec(2, 3, height_ratios=(1.15, 1))
        contours = []
        for column, key in enumerate(family):
            rows = frame[frame["series"] == f"P_{key.upper()}"]
            surface = part.add_subplot(grid[0, column], projection="3d")
            contour = part.add_subplot(grid[1, column])
            label = f"({next(letters)}) {RELAXATION_STYLE[key].label}"
            _draw_surface(surface, rows[rows["panel"] == "surface"], norm, label)
            _draw_contour(contour, rows[rows["panel"] == "contour"], norm, levels)
            contours.append(contour)
        part.suptitle(title)
        bar = part.colorbar(ScalarMappable(norm, _COLORS), ax=contours, label="cost P", extend="max" if top > 1 else "neither")
        bar.set_ticks([top * step / 5 for step in range(6)])
    return figure


def _grid(rows: pd.DataFrame, column: str) -> np.ndarray:
    side = round(len(rows) ** 0.5)
    return rows[column].to_numpy().reshape(side, side)


def _draw_surface(axes: Axes3D, rows: pd.DataFrame, norm: PowerNorm, title: str) -> None:
    grids = [_grid(rows, name) for name in ("logit_i", "logit_j", "cost")]
    axes.plot_surface(*grids, cmap=_COLORS, norm=norm, rstride=1, cstride=1, linewidth=0.1, edgecolor="white", rasterized=True)
    axes.set(xlabel="$l_i$", ylabel="$l_j$", zlim=(0, norm.vmax), title=title)
    axes.tick_params(labelsize=6, pad=-2)
    axes.xaxis.labelpad = axes.yaxis.labelpad = -8
    axes.view_init(elev=28, azim=-60)
    axes.set_box_aspect((1, 1, 0.7), zoom=1.1)


def _draw_contour(axes: Axes, rows: pd.DataFrame, norm: PowerNorm, levels: Sequence[float]) -> None:
    grids = [_grid(rows, name) for name in ("x_i", "x_j", "cost")]
    axes.contourf(*grids, levels=levels, cmap=_COLORS, norm=norm, extend="both")
    axes.contour(*grids, levels=levels, colors="white", linewidths=0.4)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="$x_i$", ylabel="$x_j$", aspect="equal", xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axes.grid(False)


ARTIFACT = Artifact(
    id="b-fig1",
    title="The six Potts relaxations as contours and surfaces",
    shows="The six relaxations of the Potts model for two classes, over probabilities and over logits.",
    paper="Relaxations with a logarithm keep a slope where the others flatten out.",
    look_for="Contour lines that run into the corners, and surfaces without plateaus.",
    scale=None,
    compute=compute,
    draw=draw,
)
