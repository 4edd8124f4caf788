"""Figure 5 of [SSL]: pseudo-labels of the same predictions on the four nearest neighbours and on the dense neighbourhood.

Both are soft labels of H_CCE + P_Q, drawn as mixtures of class colours. The paper finds that the larger neighbourhood gives worse
pseudo-labels: the nearest one follows edges of the image more closely.
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
from pipeline.report.style import COLUMN_WIDTH_IN, new_figure

ID = "b-fig5"
SOFT = {"network": r"prediction $\sigma$", "nearest": "nearest", "dense": "dense"}
"""Soft labels of every picture, and the titles of their columns."""
_PLAIN = ("image", "seeds", "labels")


def check_panels(panels: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless every picture has all its arrays, of the same size.

    Args:
        panels: ids (N,) and class_names (C,) text; palette (C, 3) uint8; and for i in 0..N-1: image_i (H, W, 3) uint8; seeds_i
            and labels_i (H, W) uint8 with VOID where none; network_i, nearest_i and dense_i (C, H, W), float16 in [0, 1].
            Pictures may differ in size.
    """
    for name in ("ids", "palette", "class_names"):
        if name not in panels:
            raise ValueError(f"{ID}: expected an array {name}, got {sorted(panels)}")
    classes = len(panels["palette"])
    if not len(panels["ids"]):
        raise ValueError(f"{ID}: expected at least one picture, got no ids")
    for index in range(len(panels["ids"])):
        missing = [f"{name}_{index}" for name in (*_PLAIN, *SOFT) if f"{name}_{index}" not in panels]
        if missing:
            raise ValueError(f"{ID}: expected the arrays {missing}, got {sorted(panels)}")
        height, width = panels[f"labels_{index}"].shape
        wanted = {"image": (height, width, 3), "seeds": (height, width), **dict.fromkeys(SOFT, (classes, height, width))}
        for name, shape in wanted.items():
            if panels[f"{name}_{index}"].shape != shape:
                raise ValueError(f"{ID}: expected {name}_{index} of shape {shape}, got {panels[f'{name}_{index}'].shape}")


def compute(_: Data) -> pd.DataFrame:
    """Return how soft and how right the labels in the panels are, over pixels that have a class and no seed.

    Returns:
        One row per kind of label and picture: series (network, nearest or dense), image (its id), mean_entropy_bits and
        correct_percent, the mean probability of the true class.

    Raises:
        ValueError: arrays are missing or do not fit together.
    """
    panels = load_archive(ID)
    check_panels(panels)
    rows = []
    for name in SOFT:
        for index, image_id in enumerate(panels["ids"].tolist()):
            soft = panels[f"{name}_{index}"].astype(np.float64)
            truth = panels[f"labels_{index}"]
            free = (truth != VOID) & (panels[f"seeds_{index}"] == VOID)
            entropy = -(soft * np.log2(np.clip(soft, 1e-12, None))).sum(0)
            true_class = np.where(free, truth, 0)[None].astype(np.int64)
            of_truth = np.take_along_axis(soft, true_class, axis=0)[0]
            count = max(int(free.sum()), 1)
            numbers = {
                "mean_entropy_bits": float(entropy[free].sum() / count),
                "correct_percent": 100 * float(of_truth[free].sum() / count),
            }
            rows.append({"series": name, "image": image_id, **numbers})
    return pd.DataFrame(rows)


def draw(_: pd.DataFrame, __: Data) -> Figure:
    """Return the panels: a row per picture; image, scribbles, ground truth, prediction, nearest and dense pseudo-labels."""
    panels = load_archive(ID)
    check_panels(panels)
    palette = [(int(red), int(green), int(blue)) for red, green, blue in panels["palette"]]
    count, titles = len(panels["ids"]), ["image", "scribbles", "truth", *SOFT.values()]
    ratios = [panels[f"labels_{index}"].shape[0] / panels[f"labels_{index}"].shape[1] for index in range(count)]
    pictures_in = COLUMN_WIDTH_IN / len(titles) * sum(ratios)
    legend = used_handles(panels, [panels[f"labels_{index}"] for index in range(count)])
    lines = -(-len(legend) // 5)
    figure = new_figure(COLUMN_WIDTH_IN, 0.35 + 0.16 * lines + pictures_in, tight=True)
    grid = figure.subplots(count, len(titles), squeeze=False, gridspec_kw={"height_ratios": ratios})
    for index in range(count):
        image = panels[f"image_{index}"]
        pictures = [
            image,
            blend(image, panels[f"seeds_{index}"], palette, alpha=1.0),
            label_colors(panels[f"labels_{index}"], palette),
            *(soft_colors(panels[f"{name}_{index}"].astype(np.float32), palette) for name in SOFT),
        ]
        for axes, picture in zip(grid[index], pictures, strict=True):
            show(axes, picture)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, fontsize=6.5, pad=3)
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
