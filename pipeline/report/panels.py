"""Pictures, ground truth and predictions of several runs for the same images, as a stage stores them for a qualitative figure.

The archive holds `ids`, `class_names`, `palette` (K, 3), `runs` ("family/run") and for each image i and run r of them
`image_<i>` (H, W, 3), `labels_<i>` (H, W) and `prediction_<r>_<i>` (H, W), all uint8, besides `profile`, `device`, `seed`
and for each run `failed`.
Pictures differ in size, so that each is an array of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.metrics.overlap import overlap_counts
from pipeline.report.artifact import Artifact
from pipeline.report.overlay import VOID_COLOR, legible, panel_grid, show, tint_objects
from pipeline.report.runs import Where
from pipeline.report.style import BLACK, TEXT_WIDTH_IN, new_figure

SCALE = ("profile", "device", "seed")


class Panels(NamedTuple):
    """What a qualitative figure shows.

    Attributes:
        ids: N image ids.
        class_names: K names, background first.
        palette: K RGB colours.
        images: N pictures (H, W, 3) uint8.
        labels: N ground truths (H, W) uint8, class index or VOID.
        predictions: "family/run" to N predictions (H, W) uint8, a class everywhere.
        scale: a row per run with profile, device, seed, family, run and failed, for the note below.
    """

    ids: list[str]
    class_names: list[str]
    palette: list[tuple[int, int, int]]
    images: list[np.ndarray]
    labels: list[np.ndarray]
    predictions: dict[str, list[np.ndarray]]
    scale: pd.DataFrame


def run_names(runs: Iterable[Where]) -> list[str]:
    """Return the names under which an archive holds the predictions of runs, "family/run"."""
    return [f"{where.family}/{dict(where.fields)['run']}" for where in runs]


def load_archive(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of models/panels/`name`.npz, with a legible palette."""
    with np.load(paths.panels(name)) as archive:
        return {key: legible(archive[key]) if key == "palette" else archive[key] for key in archive.files}


def archive_scale(arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return one row with profile, device and seed of an archive, for the note below a figure."""
    return pd.DataFrame({name: [arrays[name].item()] for name in SCALE})


def check_shapes(artifact: str, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, str]) -> None:
    """Raise ValueError unless all arrays are there, and their shapes fit together.

    Args:
        artifact: id, for the message.
        arrays: an opened archive.
        shapes: array to its axes, such as "N C H W": equal names are equal lengths, at least 1, and numbers stand for themselves.
    """
    lengths: dict[str, int] = {}
    for name, axes in shapes.items():
        if name not in arrays:
            raise ValueError(f"{artifact}: expected the array {name!r} among the panels, got {sorted(arrays)[:12]}")
        shape, wanted = arrays[name].shape, [int(axis) if axis.isdigit() else lengths.get(axis, axis) for axis in axes.split()]
        if len(shape) != len(wanted) or any(have != want for have, want in zip(shape, wanted) if isinstance(want, int)):
            raise ValueError(f"{artifact}: expected {name} of shape ({', '.join(map(str, wanted))}), got {shape}")
        if 0 in shape:
            raise ValueError(f"{artifact}: expected at least one picture, got {name} of shape {shape}")
        lengths |= dict(zip(axes.split(), shape))


def load_panels(name: str, runs: Collection[str]) -> Panels:
    """Return the panels of some runs from models/panels/`name`.npz, as `read_panels` does."""
    return read_panels(load_archive(name), name, runs)


def read_panels(arrays: Mapping[str, np.ndarray], artifact: str, runs: Collection[str]) -> Panels:
    """Return the panels of some runs ("family/run") from an opened archive, checked.

    Raises:
        ValueError: an array or a run is missing, or shapes do not fit together.
    """
    known = ("ids", "class_names", "palette", "runs", "failed", *SCALE)
    check_shapes(artifact, arrays, dict(zip(known, ("N", "C", "C 3", "R", "R", *[""] * len(SCALE)))))
    ids, class_names, stored = (arrays[name].tolist() for name in ("ids", "class_names", "runs"))
    if missing := [run for run in runs if run not in stored]:
        raise ValueError(f"{artifact}: expected predictions of {list(runs)}, missing {missing}")
    numbers, places = range(len(ids)), {run: stored.index(run) for run in runs}
    for index in numbers:
        flat = (f"labels_{index}", *(f"prediction_{place}_{index}" for place in places.values()))
        check_shapes(artifact, arrays, {f"image_{index}": "H W 3", **dict.fromkeys(flat, "H W")})
    named = pd.DataFrame([run.split("/") for run in runs], columns=["family", "run"])
    failed = [bool(arrays["failed"][place]) for place in places.values()]
    return Panels(
        ids,
        class_names,
        palette=list(map(tuple, arrays["palette"].tolist())),
        images=[arrays[f"image_{index}"] for index in numbers],
        labels=[arrays[f"labels_{index}"] for index in numbers],
        predictions={run: [arrays[f"prediction_{place}_{index}"] for index in numbers] for run, place in places.items()},
        scale=archive_scale(arrays).merge(named.assign(failed=failed), how="cross"),
    )


def score_panels(panels: Panels, runs: Mapping[str, Where]) -> pd.DataFrame:
    """Return how well each prediction of `runs` (name in the figure -> run) fits its ground truth.

    Returns:
        One row per run and image: series (name), run, image_id, mIoU_percent (over the classes in ground truth or prediction of
        this image; one image, so not comparable with the mIoU of a data set) and correct_percent (of the pixels), void left out.
    """
    rows = []
    for title, run in zip(runs, run_names(runs.values()), strict=True):
        for image_id, labels, prediction in zip(panels.ids, panels.labels, panels.predictions[run], strict=True):
            iou = [_iou(labels, prediction, index) for index in range(len(panels.class_names))]
            correct = (labels == prediction)[labels != VOID]
            numbers = {"mIoU_percent": 100 * float(np.nanmean(iou)), "correct_percent": 100 * float(correct.mean())}
            rows.append({"series": title, "run": run, "image_id": image_id, **numbers})
    return pd.DataFrame(rows)


def _iou(labels: np.ndarray, prediction: np.ndarray, class_index: int) -> float:
    counts = overlap_counts(labels, prediction, class_index)
    union = counts.true_positives + counts.false_positives + counts.false_negatives
    return counts.true_positives / union if union else float("nan")


def draw_panels(panels: Panels, runs: Mapping[str, Where]) -> Figure:
    """Return a row per image: image, the prediction of each run (title of its column -> run), ground truth."""
    rows = [
        [
            image,
            *(tint_objects(image, panels.predictions[run][index], panels.palette) for run in run_names(runs.values())),
            tint_objects(image, labels, panels.palette),
        ]
        for index, (image, labels) in enumerate(zip(panels.images, panels.labels, strict=True))
    ]
    titles = ["image", *runs, "ground truth"]
    figure = panel_grid(rows, titles, panel_width_in=TEXT_WIDTH_IN / len(titles))
    add_class_legend(figure, object_handles(panels))
    return figure


def compared(id: str, runs: Mapping[str, Where], **told: Any) -> Artifact:
    """Return an artifact that shows predictions of runs on the same images: image, a column per run, ground truth.

    Its numbers are those of `score_panels`; its stage is made from models/panels/`id`.npz. `runs`
    has the title of each column, and `told` what else an artifact says.
    """

    def panels() -> Panels:
        return load_panels(id, run_names(runs.values()))

    return Artifact(
        id=id,
        panels={id: tuple(runs.values())},
        scale=lambda _: panels().scale,
        compute=lambda _: score_panels(panels(), runs),
        draw=lambda _, __: draw_panels(panels(), runs),
        **told,
    )


def draw_rows(
    rows: Sequence[Sequence[np.ndarray | None]], titles: Sequence[str], width_in: float, head_in: float, **look: Any
) -> tuple[Figure, np.ndarray]:
    """Return a figure with a row of pictures (H, W, 3) per sample, side by side, and its axes; None leaves a place empty.

    Args:
        rows: the first picture of each has the shape of all.
        titles: of the columns.
        width_in: in inches.
        head_in: height of what stands above the pictures.
        look: of the titles.
    """
    ratios = [first.shape[0] / first.shape[1] for first, *_ in rows if first is not None]
    figure = new_figure(width_in, head_in + width_in / len(titles) * sum(ratios), tight=True)
    grid = figure.subplots(len(rows), len(titles), squeeze=False, gridspec_kw={"height_ratios": ratios})
    for axes, picture in zip(grid.flat, (picture for row in rows for picture in row), strict=True):
        show(axes, picture)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, **look)
    return figure, grid


def object_handles(panels: Panels) -> list[Patch]:
    """Return a legend entry for every class but the background that appears in the ground truth or a prediction."""
    shown = [*panels.labels, *(picture for of_run in panels.predictions.values() for picture in of_run)]
    objects = [picture[(picture != 0) & (picture != VOID)] for picture in shown]
    return _handles(objects, [hex_color(color) for color in panels.palette], panels.class_names)


def used_handles(arrays: Mapping[str, np.ndarray], labels: Iterable[np.ndarray]) -> list[Patch]:
    """Return a legend entry for every class of an archive that appears in `labels`, and for void."""
    return _handles(labels, [hex_color(color) for color in arrays["palette"]], arrays["class_names"].tolist())


def _handles(labels: Iterable[np.ndarray], colors: Sequence[str], class_names: Sequence[str]) -> list[Patch]:
    used = sorted({int(index) for picture in labels for index in np.unique(picture)})
    shown = [("void", hex_color(VOID_COLOR)) if index == VOID else (class_names[index], colors[index]) for index in used]
    return [Patch(facecolor=color, label=name, edgecolor=BLACK, linewidth=0.3) for name, color in shown]


def add_class_legend(figure: Figure, handles: Sequence[Patch], columns: int = 7) -> None:
    """Put a legend above the panels and make the figure so much higher that they keep their size."""
    lines = (len(handles) - 1) // columns + 1
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.17 * lines)
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, handlelength=1.0, columnspacing=1.2)


def hex_color(color: Sequence[int] | np.ndarray) -> str:
    """Return an RGB colour (0-255) as matplotlib reads it.

    >>> hex_color((255, 0, 16))
    '#ff0010'
    """
    return "#{:02x}{:02x}{:02x}".format(*color)
