"""Figure 7 of [SSL]: pseudo-labels of the six relaxations for the same predictions, as mixtures of class colours.

A pixel that is certain has the colour of its class, an uncertain one the mixture of its classes' colours, weighted by the
pseudo-label. The bilinear relaxation and the collision cross-entropy give nearly hard labels; the others stay soft along
boundaries, the logarithmic ones with the smoothest transition.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import blend, label_colors, show, soft_colors
from pipeline.report.panels import archive_scale, load_archive, used_handles
from pipeline.report.runs import Where
from pipeline.report.style import RELAXATION_STYLE, TEXT_WIDTH_IN, new_figure

ID = "b-fig7"
ORDER = ("bl", "q", "nq", "cce", "lq", "cd")
DECIDED = 0.99
"""A pseudo-label whose largest entry is above this counts as decided."""
_SHAPES = {
    "image": "N H W 3",
    "seeds": "N H W",
    "labels": "N H W",
    "probs": "N C H W",
    "pseudo_labels": "R N C H W",
    "relaxation": "R",
    "palette": "C 3",
    "class_names": "C",
}


def check_panels(panels: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless all arrays are there, their shapes fit together and every relaxation has its pseudo-labels.

    Args:
        panels: image (N, H, W, 3) uint8; seeds and labels (N, H, W) uint8 with VOID where none; probs (N, C, H, W);
            pseudo_labels (R, N, C, H, W), float16 in [0, 1]; relaxation (R,) names; palette (C, 3) uint8; class_names (C,).
    """
    lengths: dict[str, int] = {}
    for name, letters in _SHAPES.items():
        if name not in panels:
            raise ValueError(f"{ID}: expected the arrays {list(_SHAPES)}, got {sorted(panels)}")
        shape, axes = panels[name].shape, letters.split()
        wanted = tuple(int(axis) if axis.isdigit() else lengths.get(axis) for axis in axes)
        if len(shape) != len(axes) or any(want not in (None, have) for want, have in zip(wanted, shape, strict=True)):
            raise ValueError(f"{ID}: expected {name} of shape ({letters}) with {lengths}, got {shape}")
        lengths |= {axis: have for axis, have in zip(axes, shape, strict=True) if not axis.isdigit()}
    missing = [key for key in ORDER if key not in panels["relaxation"].tolist()]
    if missing:
        raise ValueError(f"{ID}: expected pseudo-labels of all of {list(ORDER)}, missing {missing}")


def compute(_: Data) -> pd.DataFrame:
    """Return how soft the pseudo-labels in the panels are, over the pixels without a seed.

    Returns:
        One row per relaxation and image: series (P_BL ...), image (index), mean_entropy_bits and decided_percent, the share of
        pixels whose largest entry is above `DECIDED`.

    Raises:
        ValueError: arrays are missing or do not fit together.
    """
    panels = load_archive(ID)
    check_panels(panels)
    rows = []
    for key in ORDER:
        pseudo_labels = panels["pseudo_labels"][panels["relaxation"].tolist().index(key)].astype(np.float64)
        for image, labels in enumerate(pseudo_labels):
            free = panels["seeds"][image] == VOID
            entropy = -(labels * np.log2(np.clip(labels, 1e-12, None))).sum(0)
            decided = labels.max(0) > DECIDED
            numbers = {"mean_entropy_bits": float(entropy[free].mean()), "decided_percent": 100 * float(decided[free].mean())}
            rows.append({"series": f"P_{key.upper()}", "image": image, **numbers})
    return pd.DataFrame(rows)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return the panels: a row per image; image, scribbles, ground truth, prediction, then the six relaxations."""
    panels = load_archive(ID)
    check_panels(panels)
    palette = [(int(red), int(green), int(blue)) for red, green, blue in panels["palette"]]
    count, height, width = panels["labels"].shape
    columns = 4 + len(ORDER)
    pictures_in = count * TEXT_WIDTH_IN / columns * height / width
    figure = new_figure(TEXT_WIDTH_IN, 0.4 + pictures_in, tight=True)
    grid = figure.subplots(count, columns, squeeze=False)
    places = [panels["relaxation"].tolist().index(key) for key in ORDER]
    for row in range(count):
        image, seeds = panels["image"][row], panels["seeds"][row]
        pictures = [
            image,
            blend(image, seeds, palette, alpha=1.0),
            label_colors(panels["labels"][row], palette),
            soft_colors(panels["probs"][row].astype(np.float32), palette),
            *(soft_colors(panels["pseudo_labels"][place, row].astype(np.float32), palette) for place in places),
        ]
        for axes, picture in zip(grid[row], pictures, strict=True):
            show(axes, picture)
    titles = ["image", "scribbles", "truth", r"prediction $\sigma$", *(RELAXATION_STYLE[key].label for key in ORDER)]
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=7)
    handles = used_handles(panels, panels["labels"])
    figure.legend(handles=handles, loc="outside upper center", ncols=8, handlelength=1.0)
    return figure


ARTIFACT = Artifact(
    id="b-fig7",
    title="Soft pseudo-labels of the six relaxations",
    shows="Pseudo-labels of the six relaxations, as mixtures of class colours.",
    paper="The bilinear relaxation and the collision cross-entropy give nearly hard labels; "
    "the others stay soft along boundaries.",
    look_for="Blended colours along boundaries, absent in the nearly hard ones.",
    made_from=(Where(family="seeds", length_ratio=1.0),),
    inputs=(paths.panels(ID),),
    scale=lambda _: archive_scale(load_archive(ID)),
    compute=compute,
    draw=draw,
)
