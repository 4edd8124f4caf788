"""Figure 7 of [SSL]: pseudo-labels of the six relaxations for the same predictions, as mixtures of class colours.

A pixel that is certain has the colour of its class, an uncertain one the mixture of its classes' colours, weighted by the
pseudo-label. The bilinear relaxation and the collision cross-entropy give nearly hard labels; the others stay soft along
boundaries, the logarithmic ones with the smoothest transition.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.metrics.soft_labels import mean_entropy_bits
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import blend, label_colors, soft_colors
from pipeline.report.panels import archive_scale, check_shapes, draw_rows, load_archive, used_handles
from pipeline.report.runs import Where
from pipeline.report.style import RELAXATION_STYLE, TEXT_WIDTH_IN

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


def _load() -> dict[str, np.ndarray]:
    """Return the archive with the arrays of `_SHAPES`.

    Raises:
        ValueError: arrays are missing or do not fit together.
    """
    panels = load_archive(ID)
    check_shapes(ID, panels, _SHAPES)
    return panels


def compute(_: Data) -> pd.DataFrame:
    """Return how soft the pseudo-labels in the panels are, over the pixels without a seed.

    Returns:
        One row per relaxation and image: series (P_BL ...), image (index), mean_entropy_bits and decided_percent, the share of
        pixels whose largest entry is above `DECIDED`.
    """
    panels = _load()
    rows = []
    for key in ORDER:
        pseudo_labels = panels["pseudo_labels"][panels["relaxation"].tolist().index(key)].astype(np.float64)
        for image, labels in enumerate(pseudo_labels):
            free = panels["seeds"][image] == VOID
            decided = labels.max(0) > DECIDED
            numbers = {
                "mean_entropy_bits": mean_entropy_bits(labels, free),
                "decided_percent": 100 * float(decided[free].mean()),
            }
            rows.append({"series": f"P_{key.upper()}", "image": image, **numbers})
    return pd.DataFrame(rows)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return the panels: a row per image; image, scribbles, ground truth, prediction, then the six relaxations."""
    panels = _load()
    palette = panels["palette"].tolist()
    places = [panels["relaxation"].tolist().index(key) for key in ORDER]
    rows = [
        [
            image,
            blend(image, panels["seeds"][row], palette, alpha=1.0),
            label_colors(panels["labels"][row], palette),
            soft_colors(panels["probs"][row], palette),
            *(soft_colors(panels["pseudo_labels"][place, row], palette) for place in places),
        ]
        for row, image in enumerate(panels["image"])
    ]
    titles = ["image", "scribbles", "truth", r"prediction $\sigma$", *(RELAXATION_STYLE[key].label for key in ORDER)]
    figure, _grid = draw_rows(rows, titles, TEXT_WIDTH_IN, 0.4, fontsize=7)
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
