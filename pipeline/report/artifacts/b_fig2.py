"""Figure 2 of [SSL]: what a relaxation charges while labels of two neighbouring pixels move across the simplex of three classes.

(a) Both pixels change together from class A to class B, inside a region: the bilinear relaxation charges 1/2 half-way although
both ends are free, the quadratic one nothing. (b) One pixel stays A, its neighbour across the boundary changes from C to B:
the quadratic relaxation charges only 3/4 half-way, so the neighbour gets stuck there, the bilinear one stays at 1. The normalised
quadratic has neither flaw. The paper draws the moves; here the costs of all six relaxations along them are drawn too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.artifact import Artifact, Data
from pipeline.report.style import BLACK, GREY, RELAXATION_STYLE, TEXT_WIDTH_IN, new_figure

if TYPE_CHECKING:
    from torch import Tensor

MOVES = ("a", "b")
FAMILIES = (("bl", "q", "nq"), ("cce", "lq", "cd"))
INFINITE = 9.0
"""Costs above this are infinite in theory (orthogonal labels) and only finite because the logarithm is clamped."""
_TOP = (1.15, 3.0)
_WIDTHS = (3.6, 2.4, 1.2)  # of the three lines of a family: equal costs stay visible side by side
_CORNERS = {"A": (0.0, 0.0), "B": (1.0, 0.0), "C": (0.5, 0.866)}


POINTS = 51
"""States along a move, both ends included; odd, so that the half-way state is one of them."""


def compute(_: Data) -> pd.DataFrame:
    """Return the costs along both moves.

    Returns:
        One row per state whose cost is finite: series ("P_BL, move (a)" ...), relaxation (P_BL ...), move (a or b), progress from
        0 to 1 and cost. `dvc plots` would draw an empty cost as 0.
    """
    import torch

    from pipeline.losses.relaxations import RELAXATIONS

    progress = torch.linspace(0, 1, POINTS, dtype=torch.float64)
    frames = []
    for move in MOVES:
        y_i, y_j = _labels(move, progress)
        for key in (key for family in FAMILIES for key in family):
            name, cost = f"P_{key.upper()}", RELAXATIONS[key](y_i, y_j)
            columns = {"series": f"{name}, move ({move})", "relaxation": name, "move": move, "progress": progress, "cost": cost}
            frames.append(pd.DataFrame(columns))
    frame = pd.concat(frames, ignore_index=True)
    return frame[frame["cost"] < INFINITE].reset_index(drop=True)


def _labels(move: str, progress: Tensor) -> tuple[Tensor, Tensor]:
    """Return the labels of both pixels along a move: two tensors (N, 3) over the classes A, B, C."""
    import torch

    rest, zero, one = 1 - progress, torch.zeros_like(progress), torch.ones_like(progress)
    if move == "a":
        together = torch.stack([rest, progress, zero], 1)
        return together, together
    return torch.stack([one, zero, zero], 1), torch.stack([zero, progress, rest], 1)


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return a row per move: the move itself, then the costs of both families."""
    figure = new_figure(TEXT_WIDTH_IN, 4.4)
    grid = figure.subplots(2, 3, width_ratios=(1, 1.35, 1.35))
    for row, move in enumerate(MOVES):
        _draw_simplex(grid[row, 0], move)
        for column, (family, top) in enumerate(zip(FAMILIES, _TOP, strict=True), start=1):
            _draw_costs(grid[row, column], frame[frame["move"] == move], family, top)
    grid[0, 1].set_title("second-order relaxations")
    grid[0, 2].set_title("logarithmic relaxations")
    for axes in grid[1, 1:]:
        axes.set_xlabel("progress of the move (fraction)")
    for axes in grid[:, 1]:
        axes.set_ylabel("cost P")
    for axes in grid[0, 1:]:
        axes.legend(loc="upper right", handlelength=3.2)
    return figure


def _draw_costs(axes: Axes, rows: pd.DataFrame, family: tuple[str, ...], top: float) -> None:
    infinite = []
    for key, width in zip(family, _WIDTHS, strict=True):
        style = RELAXATION_STYLE[key]
        curve = rows[rows["relaxation"] == f"P_{key.upper()}"]
        axes.plot(curve["progress"], curve["cost"], style.line, color=style.color, linewidth=width, label=style.label)
        if curve.empty:
            infinite.append(style.label)
    if infinite:
        axes.text(0.5, 0.1, f"{' and '.join(infinite)}: infinite throughout", transform=axes.transAxes, ha="center", fontsize=7)
    axes.set(xlim=(0, 1), ylim=(-0.05 * top, top), xticks=(0, 0.5, 1))


def _draw_simplex(axes: Axes, move: str) -> None:
    corners = np.array([*_CORNERS.values(), _CORNERS["A"]])
    axes.plot(corners[:, 0], corners[:, 1], color=GREY, linewidth=1)
    for name, (x, y) in _CORNERS.items():
        axes.annotate(name, (x, y), (x, y + (0.05 if name == "C" else -0.13)), ha="center")
    start, end = ("A", "B") if move == "a" else ("C", "B")
    arrow = {"arrowstyle": "-|>", "color": BLACK, "linewidth": 1.6, "shrinkA": 4, "shrinkB": 4}
    axes.annotate("", _CORNERS[end], _CORNERS[start], arrowprops=arrow)
    moving = "$y_i = y_j$" if move == "a" else "$y_j$"
    place = (0.5, 0.08) if move == "a" else (0.86, 0.5)
    axes.text(*place, moving, ha="center" if move == "a" else "left")
    axes.plot(*_CORNERS[start], "o", color=BLACK)
    if move == "b":
        axes.plot(*_CORNERS["A"], "o", color=BLACK)
        axes.text(0.1, -0.13, "$y_i$ fixed")
    axes.set(xlim=(-0.12, 1.3), ylim=(-0.2, 1.02), aspect="equal", title=f"({move})")
    axes.set_axis_off()


ARTIFACT = Artifact(
    id="b-fig2",
    title="Cost of the relaxations along two moves on the simplex",
    shows="The cost of the six relaxations while neighbouring labels move across the simplex.",
    paper="The bilinear one charges half for a free move (a); the quadratic one lets a wrong label rest half-way in move (b).",
    look_for="The normalised quadratic one, which has neither flaw.",
    scale=None,
    compute=compute,
    draw=draw,
)
