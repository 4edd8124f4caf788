"""Figure 5 of [SSL]: pseudo-labels of the same predictions on the four nearest neighbours and on the dense neighbourhood.

Both are soft labels of H_CCE + P_Q, drawn as mixtures of class colours. The paper finds that the larger neighbourhood gives worse
pseudo-labels: the nearest one follows edges of the image more closely. A few pictures are drawn; the numbers are of as many as
solvers are compared on.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import blend, label_colors, soft_colors
from pipeline.report.panels import archive_scale, check_shapes, draw_rows, load_archive, used_handles
from pipeline.report.runs import Where
from pipeline.report.style import COLUMN_WIDTH_IN

ID = "b-fig5"
SOFT = {"network": r"prediction $\sigma$", "nearest": "nearest", "dense": "dense"}
"""Soft labels of every picture, and the titles of their columns."""
MEASURES = ("mean_entropy_bits", "correct_percent")


def _load() -> dict[str, np.ndarray]:
    """Return the archive: class_names (C,), palette (C, 3), and

        measured (M,) ids of pictures; mean_entropy_bits and correct_percent of each, (3, M), in the order of `SOFT`
        ids (N,) of those that are drawn, and for each i of them image_i (H, W, 3), seeds_i and labels_i (H, W) uint8, `VOID`
        where none; network_i, nearest_i, dense_i (C, H, W) float16

    Raises:
        ValueError: arrays are missing or do not fit together.
    """
    panels = load_archive(ID)
    shapes = {"measured": "M", **{name: f"{len(SOFT)} M" for name in MEASURES}}
    shapes |= {"ids": "N", "class_names": "C", "palette": "C 3"}
    for index in range(len(panels.get("ids", ()))):
        size = f"H{index} W{index}"
        shapes |= {f"image_{index}": f"{size} 3", f"seeds_{index}": size, f"labels_{index}": size}
        shapes |= {f"{name}_{index}": f"C {size}" for name in SOFT}
    check_shapes(ID, panels, shapes)
    return panels


def compute(_: Data) -> pd.DataFrame:
    """Return how soft and how right the labels are, over pixels that have a class and no seed.

    Returns:
        One row per kind of label and measured picture: series (network, nearest or dense), image (its id), mean_entropy_bits and
        correct_percent, the mean probability of the true class.
    """
    panels = _load()
    ids = panels["measured"].tolist()
    columns = {name: panels[name].ravel() for name in MEASURES}
    return pd.DataFrame({"series": np.repeat(list(SOFT), len(ids)), "image": ids * len(SOFT), **columns})


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return the panels: a row per picture; image, scribbles, ground truth, prediction, nearest and dense pseudo-labels."""
    panels = _load()
    palette, places = panels["palette"].tolist(), range(len(panels["ids"]))
    rows = [
        [
            panels[f"image_{index}"],
            blend(panels[f"image_{index}"], panels[f"seeds_{index}"], palette, alpha=1.0),
            label_colors(panels[f"labels_{index}"], palette),
            *(soft_colors(panels[f"{name}_{index}"], palette) for name in SOFT),
        ]
        for index in places
    ]
    legend = used_handles(panels, [panels[f"labels_{index}"] for index in places])
    head_in = 0.35 + 0.16 * math.ceil(len(legend) / 5)
    figure, _grid = draw_rows(
        rows, ["image", "scribbles", "truth", *SOFT.values()], COLUMN_WIDTH_IN, head_in, fontsize=6.5, pad=3
    )
    figure.legend(handles=legend, loc="outside upper center", ncols=5, handlelength=1.0)
    return figure


ARTIFACT = Artifact(
    id="b-fig5",
    title="Pseudo-labels from nearest and dense neighbourhoods",
    shows="Pseudo-labels of the same predictions from nearest and from dense neighbourhoods.",
    paper="The larger neighbourhood gives worse pseudo-labels.",
    look_for="How closely the boundaries follow edges of the picture.",
    made_from=(Where(family="seeds", length_ratio=1.0),),
    inputs=(paths.panels(ID),),
    scale=lambda _: archive_scale(load_archive(ID)),
    compute=compute,
    draw=draw,
)
