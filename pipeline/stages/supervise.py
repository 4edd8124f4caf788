"""Stages `supervise@VARIANT` and `corrupt@VARIANT`: make what an annotator gives for the training images of a data set.

Size targets come from the masks and are corrupted by [SIZE] Eq. 15; scribbles are the set's own, or drawn from the masks
where it has none, and shortened to the asked ratio. The folder holds sizes.csv and / or seeds.json, and summary.json with
the seed and the errors that were realised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline import paths
from pipeline.conventions import VOID
from pipeline.datasets.base import DatasetError, Scribble
from pipeline.datasets.prepared import PreparedArchive
from pipeline.files import write_json
from pipeline.metrics.size_error import mean_relative_error
from pipeline.params import Seeds, load_params
from pipeline.stages.common import clear_errors, lookup, stage_arguments
from pipeline.targets.corruption import mre_from_sigma, perturb, sigma_from_mre
from pipeline.targets.scribbles import generate_scribbles, rasterize, shorten, write_scribbles
from pipeline.targets.sizes import class_sizes, write_size_targets

NOISE_STREAM, SCRIBBLE_STREAM = 1, 2
"""Separate random streams, so that adding scribbles never changes the noise of sizes."""


def make_sizes(archive: PreparedArchive, variant: str, sigma: float, seed: int) -> dict[str, Any]:
    """Write size targets with relative noise `sigma` and return what was realised.

    All variants of a seed share one draw of the noise, scaled by sigma, so that curves over sigma differ by it alone.
    """
    exact = np.stack([class_sizes(archive.labels(image_id), archive.num_classes) for image_id in archive.ids])
    corrupted = perturb(exact, sigma, np.random.default_rng([seed, NOISE_STREAM]))
    write_size_targets(paths.size_targets(variant), archive.ids, corrupted.sizes, archive.class_names)
    return {
        "sigma": sigma,
        "mre": mre_from_sigma(sigma),
        "mre_all": mean_relative_error(corrupted.sizes, exact),
        "mre_foreground": mean_relative_error(corrupted.sizes, exact, foreground_only=True),
        "clamped": corrupted.clamped,
    }


def make_seeds(archive: PreparedArchive, variant: str, spec: Seeds, seed: int) -> dict[str, Any]:
    """Write scribbles or clicks and return how much they cover.

    Raises:
        DatasetError: clicks are asked for and the data set has none.
    """
    given = archive.clicks() if spec.kind == "clicks" else archive.scribbles()
    if given is None and spec.kind == "clicks":
        raise DatasetError(f"supervision.{variant}.seeds.kind: the data set has no clicks; use scribbles with length_ratio 0")
    strokes: dict[str, list[Scribble]] = {}
    drawn = total = 0
    for number, image_id in enumerate(archive.ids):
        width, height = archive.size(image_id)
        if given is not None:
            full = given.get(image_id, [])
        else:
            generator = np.random.default_rng([seed, SCRIBBLE_STREAM, number])
            smallest = round(spec.min_area_fraction * width * height)
            full = generate_scribbles(archive.labels(image_id), min_area_px=smallest, generator=generator)
        strokes[image_id] = [shorten(stroke, spec.length_ratio) for stroke in full]
        raster = rasterize(strokes[image_id], (width, height), (width, height), spec.width_px, spec.width_px)
        drawn += int((raster != VOID).sum())
        total += raster.size
    write_scribbles(paths.seeds(variant), strokes)
    return {"kind": spec.kind, "length_ratio": spec.length_ratio, "annotated": drawn / total, "generated": given is None}


def main() -> None:
    """Run the stage."""
    variant = stage_arguments(__doc__, variant="key of `supervision` or `noise.supervision` in params.yaml").variant
    with clear_errors(DatasetError):
        params = load_params()
        spec = lookup(params.supervisions, variant, "supervision")
        archive = PreparedArchive(paths.prepared(spec.dataset, "train"))
        summary: dict[str, Any] = {"dataset": spec.dataset, "images": len(archive.ids), "seed": params.seed, "masks": spec.masks}
        if spec.sizes is not None:
            is_default = spec.sizes.mre is None
            sigma = params.noise.sigma if spec.sizes.mre is None else sigma_from_mre(spec.sizes.mre)
            summary["sizes"] = {"noise_default": is_default, **make_sizes(archive, variant, sigma, params.seed)}
        if spec.seeds is not None:
            summary["seeds"] = make_seeds(archive, variant, spec.seeds, params.seed)
        write_json(paths.supervision_summary(variant), summary)


if __name__ == "__main__":
    main()
