"""Stage `samples@DATASET`: a page of training pictures with masks, scribbles and sizes, to look at before anything is trained."""

from __future__ import annotations

import numpy as np

from pipeline import paths
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.params import load_params
from pipeline.report.sample_sheet import draw_classified, draw_samples, sample_ids
from pipeline.report.style import save_figure
from pipeline.stages.common import lookup, stage_arguments
from pipeline.targets.scribbles import generate_scribbles
from pipeline.targets.sizes import class_sizes

DPI = 100
"""Of a page of noisy pictures, which hardly compress."""


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, dataset="key of `datasets` in params.yaml").dataset
    with clear_errors(DatasetError):
        params = load_params()
        lookup(params.datasets, name, "datasets")
        archive = PreparedArchive(paths.prepared(name, "train"))
        if archive.task == "classification":
            save_figure(draw_classified(archive, params.figures.sample_images), paths.samples(name), suffixes=[".png"], dpi=DPI)
            return
        ids = sample_ids(archive, params.figures.sample_images)
        given = archive.scribbles() or {}
        scribbles = {
            image_id: given.get(image_id)
            or generate_scribbles(archive.labels(image_id), min_area_px=9, generator=np.random.default_rng([params.seed, index]))
            for index, image_id in enumerate(ids)
        }
        sizes = {image_id: class_sizes(archive.labels(image_id), archive.num_classes) for image_id in ids}
        save_figure(draw_samples(archive, scribbles, sizes, len(ids)), paths.samples(name), suffixes=[".png"], dpi=DPI)


if __name__ == "__main__":
    main()
