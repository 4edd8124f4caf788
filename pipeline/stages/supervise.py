"""Stage `supervise@DATASET`: make all that annotators give for the training images of a data set, one folder per variant.

Size targets come from the masks, corrupted by [SIZE] Eq. 15, from a file of annotations, or are one average for all images.
Scribbles are the set's own, or drawn from the masks where it has none, and shortened to the asked ratio; regions are eroded
masks. A folder holds sizes.csv, tags.csv, labels.csv, seeds.json or seeds.zip as asked for, and summary.json with the seed and
what was realised. Where chance has a part, every repetition of a training after the first gets a draw of its own, in a folder
named after it: differences over repetitions then spread by the annotator's chance too. All variants are made together, because
they share the decoded masks; a training depends on its own folder. Each is kept in the scratch folder too, and comes from there
the next time if nothing has changed that it is made of.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.datasets.base import Scribble
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.files import atomic_folder, write_csv, write_json
from pipeline.kept import digest_of
from pipeline.metrics.size_error import mean_relative_error
from pipeline.params import ClassLabels, Seeds, SizeTargets, Supervision, load_params
from pipeline.stages.common import lookup, stage_arguments
from pipeline.targets.annotated_sizes import combine
from pipeline.targets.annotation_errors import annotation_errors
from pipeline.targets.annotations import SIMULATED, Annotation, read_annotations
from pipeline.targets.blocks import block_labels
from pipeline.targets.class_labels import write_class_labels
from pipeline.targets.corruption import corrupt_labels, mre_from_sigma, perturb, sigma_from_mre
from pipeline.targets.erosion import erode_to_seeds
from pipeline.targets.rasters import write_rasters
from pipeline.targets.scribbles import generate_scribbles, rasterize, shorten, write_scribbles
from pipeline.targets.simulated_annotator import simulate
from pipeline.targets.sizes import class_sizes, mean_size_targets, write_size_targets
from pipeline.targets.strokes import check_strokes, draw_seeds, read_strokes, standing
from pipeline.targets.tags import write_tags

NOISE_STREAM, SCRIBBLE_STREAM, ANNOTATOR_STREAM, LABEL_STREAM = 1, 2, 3, 4
"""Separate random streams, so that adding scribbles never changes the noise of sizes."""


class Truth:
    """The training images of one view of a data set, with what several variants need computed once."""

    def __init__(self, archive: PreparedArchive) -> None:
        self.archive = archive
        self.labels = lru_cache(maxsize=2000)(archive.labels)
        # Variants of other lengths shorten the same strokes.
        self.strokes = lru_cache(maxsize=None)(self._strokes)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Class sizes of all masks, (N, C)."""
        return np.stack([class_sizes(self.labels(image_id), self.archive.num_classes) for image_id in self.archive.ids])

    def _strokes(self, seed: int, min_area_fraction: float) -> tuple[dict[str, list[Scribble]], bool]:
        """Return full-length scribbles per image, the set's own or else generated ones, and whether they are generated."""
        given = self.archive.scribbles()
        if given is not None:
            return given, False
        strokes = {}
        for number, image_id in enumerate(self.archive.ids):
            width, height = self.archive.size(image_id)
            # One for each image: its strokes do not depend on how much chance those before it took.
            generator = np.random.default_rng([seed, SCRIBBLE_STREAM, number])
            smallest = round(min_area_fraction * width * height)
            strokes[image_id] = generate_scribbles(self.labels(image_id), min_area_px=smallest, generator=generator)
        return strokes, True


def make_sizes(
    truth: Truth, variant: str, spec: SizeTargets, sigma: float, seed: int, *, optional: bool = False
) -> dict[str, Any]:
    """Write size targets and return what was realised; `optional` as in `given_sizes`.

    All noisy variants of a seed share one draw of the noise, scaled by sigma, so that curves over sigma differ by it alone.
    """
    archive = truth.archive
    summary: dict[str, Any] = {"source": spec.source}
    if spec.source == "given":
        sizes = given_sizes(truth, variant, optional=optional)
        write_size_targets(paths.size_targets(variant), archive.ids, sizes, archive.class_names)
        return summary | {"given": int(sizes.any(1).sum())}
    exact = truth.sizes
    if spec.source == "mean":
        sizes = mean_size_targets(exact)
    elif spec.source == "annotations":
        sizes, told = annotated_sizes(truth, variant, spec, seed)
        summary |= told
    else:
        corrupted = perturb(exact, sigma, np.random.default_rng([seed, NOISE_STREAM]))
        sizes = corrupted.sizes
        summary |= {"noise_default": spec.mre is None, "sigma": sigma, "mre": mre_from_sigma(sigma), "clamped": corrupted.clamped}
    write_size_targets(paths.size_targets(variant), archive.ids, sizes, archive.class_names)
    return summary | {
        "mre_all": mean_relative_error(sizes, exact),
        "mre_foreground": mean_relative_error(sizes, exact, foreground_only=True),
    }


def given_sizes(truth: Truth, variant: str, *, optional: bool = False) -> np.ndarray:
    """Return the sizes that stand beside the images, (N, C); those of the mask where an image has no line.

    Args:
        truth: the images.
        variant: stands in errors.
        optional: something else is given as well, so that an image may have neither: its row is zeros.

    Raises:
        DatasetError: an image has neither, and must.
    """
    given = truth.archive.sizes() or {}
    rows = []
    for image_id in truth.archive.ids:
        # The table has the last word; a mask is decoded only where it is silent.
        labels = truth.labels(image_id) if image_id not in given else None
        if labels is None:
            rows.append(given[image_id])
        elif (labels != VOID).any():  # a mask of void alone is none
            rows.append(class_sizes(labels, truth.archive.num_classes))
        elif optional:
            rows.append(np.zeros(truth.archive.num_classes))
        else:
            raise DatasetError(
                f"supervision {variant}: image {image_id} has neither sizes nor a mask; add a line to sizes.csv or leave it out"
            )
    return np.stack(rows)


@cache
def simulated_annotations(path: Path, seed: int) -> list[Annotation]:
    """Return the answers of one simulated annotator on a whole data set, so that all views of it are of the same answers."""
    whole = Truth(PreparedArchive(path))
    generator = np.random.default_rng([seed, ANNOTATOR_STREAM])
    return simulate(whole.sizes, whole.archive.class_names, whole.archive.ids, generator)


def annotated_sizes(truth: Truth, variant: str, spec: SizeTargets, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Return size targets of a file of annotations, or of a simulated annotator, and write the error of every answer.

    Raises:
        ValueError: no such file, a damaged line, or the file has unknown classes or images, or lacks some.
    """
    names, ids = truth.archive.class_names, truth.archive.ids
    whole = PreparedArchive(truth.archive.path)  # answers may cover more images and classes than this part of the data set
    if spec.file is None:
        given = simulated_annotations(whole.path, seed)
    else:
        given = read_annotations(Path(spec.file)).whole(Path(spec.file))
    left_out = set(whole.ids) - set(ids)
    # Not those of `ids`: an image that nobody knows must stay, for `combine` to name it.
    rows = [row for row in given if row.image_id not in left_out]
    all_names = whole.class_names
    combined = combine(rows, all_names, ids, how=spec.combine)
    # Classes outside this part are background, which gets what the chosen ones leave.
    objects = combined.sizes[:, [all_names.index(name) for name in names[1:]]]
    sizes = np.concatenate([1 - objects.sum(1, keepdims=True), objects], axis=1)
    known = [row for row in rows if row.class_name in names]
    # A class that is not in the picture has no relative error.
    errors = [one for one in annotation_errors(known, dict(zip(ids, truth.sizes)), names) if math.isfinite(one.error)]
    # One simulated answer is enough: figures must not show it as a person's.
    source = "simulated" if any(row.annotator == SIMULATED for row in rows) else "annotated"
    told = [
        {
            "image_id": one.image_id,
            "class": one.class_name,
            "size_fraction": f"{one.size:.9g}",
            "exact": f"{one.exact:.9g}",
            "relative_error": one.error,
            "seconds": f"{one.seconds:.3f}",
            "annotator": one.annotator,
            "grid": one.grid,
            "source": source,
        }
        for one in errors
    ]
    write_csv(paths.annotation_errors(variant), told)
    return sizes, {
        "annotation": source,
        "annotated_mre": float(np.mean([abs(one.error) for one in errors])),
        "annotated_seconds": float(np.mean([one.seconds for one in errors])),
    }


def make_strokes(truth: Truth, variant: str, spec: Seeds, seed: int) -> dict[str, Any]:
    """Write scribbles or clicks and return how much they cover.

    Raises:
        DatasetError: clicks are asked for and the data set has none.
    """
    archive = truth.archive
    if spec.kind == "clicks":
        clicks = archive.clicks()
        if clicks is None:
            raise DatasetError(f"supervision {variant}: seeds.kind: the data set has no clicks; use scribbles of length_ratio 0")
        full, generated = clicks, False
    else:
        full, generated = truth.strokes(seed, spec.min_area_fraction)
    strokes: dict[str, list[Scribble]] = {}
    drawn = total = 0
    for image_id in archive.ids:
        width, height = archive.size(image_id)
        strokes[image_id] = [shorten(stroke, spec.length_ratio) for stroke in full.get(image_id, [])]
        # Drawn only to be counted: trainings get the poly-lines, and draw them at their own size.
        raster = rasterize(strokes[image_id], (width, height), (width, height), spec.width_px, spec.width_px)
        drawn += int((raster != VOID).sum())
        total += raster.size
    write_scribbles(paths.seeds(variant), strokes)
    return {"length_ratio": spec.length_ratio, "annotated": drawn / total, "generated": generated}


def make_regions(truth: Truth, variant: str, spec: Seeds) -> dict[str, Any]:
    """Write seeds that are regions and return how much they cover.

    Raises:
        DatasetError: drawn scribbles are asked for and the data set has none.
        ValueError: as in `read_drawn`.
    """

    archive = truth.archive

    def eroded(image_id: str) -> np.ndarray:
        labels = truth.labels(image_id)
        seeds = np.full_like(labels, VOID)
        for index in range(1, archive.num_classes):  # the background stays unlabelled
            # `VOID` is the largest value: the smaller one is the seed.
            np.minimum(seeds, erode_to_seeds(labels, index, spec.iterations), out=seeds)
        return seeds

    strokes, seconds = read_drawn(archive, Path(spec.file)) if spec.file is not None else ({}, 0.0)

    def drawn_by_hand(image_id: str) -> np.ndarray:
        if spec.file is not None:
            return strokes.get(image_id, np.full_like(truth.labels(image_id), VOID))
        raster = archive.scribble_raster(image_id)
        if raster is None:
            raise DatasetError(f"supervision {variant}: seeds.kind: the data set has no drawn scribbles; use kind scribbles")
        return raster

    def blocks(image_id: str) -> np.ndarray:
        return block_labels(truth.labels(image_id), spec.block_ratio)

    makers: dict[str, Callable[[str], np.ndarray]] = {"erosion": eroded, "drawn": drawn_by_hand, "blocks": blocks}
    counts = {"labelled": 0, "total": 0}

    def counted() -> Iterator[tuple[str, np.ndarray]]:
        for image_id in archive.ids:
            seeds = makers[spec.kind](image_id)
            counts["labelled"] += int((seeds != VOID).sum())
            counts["total"] += seeds.size
            yield image_id, seeds

    # Written as they are made, so that counts are complete only behind this line.
    write_rasters(paths.seed_regions(variant), counted())
    told: dict[str, Any] = {"block_ratio": spec.block_ratio} if spec.kind == "blocks" else {}
    if spec.file is not None:
        told = {"images": len(strokes), "drawn_seconds": seconds}
    return {"annotated": counts["labelled"] / counts["total"], "generated": spec.kind != "drawn", **told}


def read_drawn(archive: PreparedArchive, path: Path) -> tuple[dict[str, np.ndarray], float]:
    """Return the seeds of every image that strokes of the annotation tool stand on, and the mean seconds a person took for one.

    Classes that a part of the data set leaves out are background, as in its masks.

    Raises:
        ValueError: no such file, a damaged line, an unknown class or image, or no stroke on any of the images.
    """
    whole = PreparedArchive(archive.path)
    rows = read_strokes(path).whole(path)
    check_strokes(rows, whole.class_names, known_ids=whole.ids)
    # Class of the whole data set -> class of this part; pixels without a seed stay so.
    index = np.full(VOID + 1, VOID, np.uint8)
    for number, name in enumerate(whole.class_names):
        index[number] = archive.class_names.index(name) if name in archive.class_names else 0
    people = standing(rows).values()
    drawn = {i: [one[i] for one in people if i in one and one[i].complete] for i in archive.ids}
    drawn = {image_id: drawings for image_id, drawings in drawn.items() if drawings}
    if not drawn:
        raise ValueError(
            f"{path}: no stroke on any training image; draw some with `python -m pipeline.annotate --task scribbles`"
        )
    seeds = {
        image_id: index[draw_seeds([one.strokes for one in drawings], archive.size(image_id), whole.class_names)[0]]
        for image_id, drawings in drawn.items()
    }
    seconds = [np.mean([one.seconds for one in drawings]) for drawings in drawn.values()]
    return seeds, float(np.mean(seconds))


def make_given(truth: Truth, variant: str, spec: Seeds) -> dict[str, Any]:
    """Write all pixels whose class the data set knows and return how much they cover, and of how many images.

    Masks and drawn scribbles are regions, the mask where an image has both; strokes and clicks stay poly-lines, which are drawn
    where no region says anything.
    """
    archive = truth.archive
    lines = [given for given in (archive.scribbles(), archive.clicks()) if given is not None]
    strokes = {image_id: [one for given in lines for one in given.get(image_id, [])] for image_id in archive.ids}
    if lines:
        write_scribbles(paths.seeds(variant), strokes)
    counts = {"labelled": 0, "total": 0, "images": 0}

    def counted() -> Iterator[tuple[str, np.ndarray]]:
        for image_id in archive.ids:
            regions, drawn = truth.labels(image_id), archive.scribble_raster(image_id)
            if drawn is not None:
                regions = np.where(regions == VOID, drawn, regions)
            size = archive.size(image_id)
            # As trainings join them, to be counted; what is written are the regions alone.
            seeds = np.where(regions == VOID, rasterize(strokes[image_id], size, size, spec.width_px, spec.width_px), regions)
            labelled = int((seeds != VOID).sum())
            counts["labelled"] += labelled
            counts["images"] += labelled > 0
            counts["total"] += seeds.size
            yield image_id, regions

    write_rasters(paths.seed_regions(variant), counted())
    return {"annotated": counts["labelled"] / counts["total"], "generated": False, "images": counts["images"]}


def make_class_labels(archive: PreparedArchive, variant: str, spec: ClassLabels, seed: int) -> dict[str, Any]:
    """Write soft class labels, a share of them corrupted ([SSL] Fig. 3d); all shares of a seed corrupt the same images first."""
    exact = np.array([archive.image_class(image_id) for image_id in archive.ids])
    given = corrupt_labels(exact, archive.num_classes, spec.corrupted, np.random.default_rng([seed, LABEL_STREAM]))
    write_class_labels(paths.class_labels(variant), archive.ids, given, spec.corrupted, archive.class_names)
    return {"corrupted": spec.corrupted, "wrong": float((given != exact).mean())}


def draw_seed(seed: int, repetition: int) -> int:
    """Return the root of the randomness of one draw; the first has the seed itself."""
    # Mixed, not added: the second draw of seed 0 must not be the first of seed 1.
    return int(np.random.SeedSequence([seed, repetition]).generate_state(1)[0]) if repetition else seed


def make_variant(truth: Truth, variant: str, spec: Supervision, sigma: float, seed: int) -> None:
    """Write the folder of one draw of a variant.

    Args:
        truth: the images.
        variant: its place, `dataset/name` or what `paths.drawn` makes of it.
        spec: what is asked for.
        sigma: noise of size targets that set none of their own.
        seed: root of the randomness.
    """
    archive = truth.archive
    summary: dict[str, Any] = {
        "dataset": spec.dataset,
        "subset": spec.view,  # trainings depend on it through this file
        "images": len(archive.ids),
        "seed": seed,
        "masks": spec.masks,
    }
    if spec.sizes is not None:
        sigma = sigma if spec.sizes.mre is None else sigma_from_mre(spec.sizes.mre)
        optional = spec.seeds is not None and spec.seeds.kind == "given"
        summary["sizes"] = make_sizes(truth, variant, spec.sizes, sigma, seed, optional=optional)
    if spec.tags:
        write_tags(paths.tags(variant), archive.ids, truth.sizes > 0, archive.class_names)
    if spec.seeds is not None:
        if spec.seeds.kind in ("scribbles", "clicks"):
            made = make_strokes(truth, variant, spec.seeds, seed)
        elif spec.seeds.kind == "given":
            made = make_given(truth, variant, spec.seeds)
        else:
            made = make_regions(truth, variant, spec.seeds)
        summary["seeds"] = {"kind": spec.seeds.kind, **made}
    if spec.labels is not None:
        summary["labels"] = make_class_labels(archive, variant, spec.labels, seed)
    write_json(paths.supervision_summary(variant), summary)


def kept_variant(truth: Truth, variant: str, spec: Supervision, sigma: float, seed: int) -> Path | None:
    """Do what `make_variant` does, by a copy if the same was made before, and return the folder where it is kept."""
    code, place = paths.code("supervise"), paths.supervision(variant)
    if not code.exists():  # outside the DAG nobody says whether the code has changed
        make_variant(truth, variant, spec, sigma, seed)
        return None
    # Only where it is used, so that another default leaves all other variants as they are.
    default = sigma if spec.sizes is not None and spec.sizes.source == "exact" and spec.sizes.mre is None else None
    files = [Path(given.file) for given in (spec.sizes, spec.seeds) if given is not None and given.file is not None]
    made_of = {"spec": spec.model_dump(), "sigma": default, "seed": seed}
    # A file that is missing is named when it is read, with what helps.
    kept = paths.kept_supervision(spec.dataset) / digest_of(made_of, [code, truth.archive.path, *filter(Path.is_file, files)])
    # From the copy to its place, or, once made there, the other way.
    source, target = (kept, place) if kept.exists() else (place, kept)
    if source == place:
        make_variant(truth, variant, spec, sigma, seed)
    with atomic_folder(target) as folder:
        for path in source.iterdir():
            if path.is_file():  # folders are other draws
                shutil.copy(path, folder)
    return kept


def main() -> None:
    """Run the stage."""
    dataset = stage_arguments(__doc__, dataset="key of `datasets` in params.yaml").dataset
    with clear_errors(DatasetError):
        params = load_params()
        lookup(params.datasets, dataset, "datasets")
        truths: dict[str, Truth] = {}
        used = set()
        for name, spec in tqdm(params.supervision.items(), desc=f"supervise {dataset}", unit="variant", disable=None):
            if spec.dataset == dataset:
                view = json.dumps(spec.view)
                if view not in truths:
                    truths[view] = Truth(PreparedArchive(paths.prepared(dataset, "train"), **spec.view))
                # The first draw first: its folder holds those of the others, and is exchanged as a whole.
                for repetition in range(params.repetitions if spec.random else 1):
                    place = paths.drawn(f"{dataset}/{name}", repetition)
                    used.add(kept_variant(truths[view], place, spec, params.noise.sigma, draw_seed(params.seed, repetition)))
        # Only what the present settings ask for is kept, or the folder would grow with every change.
        for old in set(paths.kept_supervision(dataset).glob("*")) - used:
            shutil.rmtree(old)


if __name__ == "__main__":
    main()
