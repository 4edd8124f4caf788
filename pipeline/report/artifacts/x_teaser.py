"""The opening picture: what an annotator may give instead of masks, and what the losses of both papers make of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pipeline import paths
from pipeline.report.artifact import Artifact, Data
from pipeline.report.overlay import blend, label_colors, soft_colors
from pipeline.report.panels import archive_scale, draw_rows, load_archive
from pipeline.report.runs import Where
from pipeline.report.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, RELAXATION_STYLE, TEXT_WIDTH_IN, VERMILION
from pipeline.targets.corruption import perturb, sigma_from_mre
from pipeline.targets.sizes import class_sizes

ARCHIVE = "b-fig7"
MRE = 0.08
"""Mean relative error of the sizes that are shown, the one that [SIZE] compares with others at."""
RELAXATIONS = ("q", "cd")
PICTURES = 2
COLORS = ("#EDEDED", VERMILION, BLUE, GREEN, ORANGE, PURPLE)
"""Of the background and of the classes in turn, clearer than the data set's own; the same to every kind of colour vision."""


def compute(_: Data) -> pd.DataFrame:
    """Return the sizes of the pictures that are shown.

    Returns:
        One row per picture and class in it: series (class name), image (index), exact_percent, given_percent (with an error).
    """
    panels = load_archive(ARCHIVE)
    names = panels["class_names"].tolist()
    exact = np.stack([class_sizes(labels, len(names)) for labels in panels["labels"][:PICTURES]])
    given = perturb(exact, sigma_from_mre(MRE), np.random.default_rng(0)).sizes
    return pd.DataFrame(
        {"series": name, "image": image, "exact_percent": 100 * exact[image, k], "given_percent": 100 * given[image, k]}
        for image in range(len(exact))
        for k, name in enumerate(names)
        if exact[image, k] > 0
    )


def draw(frame: pd.DataFrame, _: Data) -> Figure:
    """Return a row per picture: photo, size target, scribbles, pseudo-labels of two relaxations, the network's labels."""
    panels = load_archive(ARCHIVE)
    looks = [COLORS[k] if k == 0 else COLORS[1 + (k - 1) % (len(COLORS) - 1)] for k in range(len(panels["palette"]))]
    palette = [(int(255 * red), int(255 * green), int(255 * blue)) for red, green, blue in map(to_rgb, looks)]
    names = panels["class_names"].tolist()
    places = [panels["relaxation"].tolist().index(key) for key in RELAXATIONS]
    rows: list[list[np.ndarray | None]] = []
    for row, image in enumerate(panels["image"][:PICTURES]):
        drawn = blend(image, panels["seeds"][row], [(0, 0, 0), *palette[1:]], alpha=1.0)
        soft = [soft_colors(panels["pseudo_labels"][place, row], palette) for place in places]
        rows.append([image, None, drawn, *soft, label_colors(panels["probs"][row].argmax(0).astype(np.uint8), palette)])
    titles = ["photo", "size target", "scribbles", *(f"pseudo-labels, {RELAXATION_STYLE[key].label}" for key in RELAXATIONS)]
    figure, grid = draw_rows(rows, [*titles, "network after stage 1"], TEXT_WIDTH_IN, 0.25, fontsize=7)
    for row, bars in enumerate(grid[:, 1]):
        sizes = frame[frame["image"] == row]
        colors = [looks[names.index(name)] for name in sizes["series"]]
        bars.barh(range(len(sizes)), sizes["given_percent"], color=colors, edgecolor=BLACK, linewidth=0.5, height=0.6)
        for place, (name, share) in enumerate(zip(sizes["series"], sizes["given_percent"])):
            bars.text(0, place - 0.36, f"{name}, {share:.0f} %", fontsize=6, va="bottom")
        bars.set(xlim=(0, 100), ylim=(len(sizes) - 0.4, -0.9))
    return figure


ARTIFACT = Artifact(
    id="x-teaser",
    title="From a size or a scribble to a mask",
    shows="Procedural pictures, a size target of 8 % error, scribbles, pseudo-labels of two relaxations, the network's labels.",
    paper="Neither paper needs a mask for training.",
    look_for="How close the last column comes to the objects of the first.",
    made_from=(Where(family="seeds", length_ratio=1.0),),
    inputs=(paths.panels(ARCHIVE),),
    scale=lambda _: archive_scale(load_archive(ARCHIVE)),
    compute=compute,
    draw=draw,
)
