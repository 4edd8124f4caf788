"""Stage `statistics`: what the training images of every data set hold, in reports/data.json."""

from __future__ import annotations

from typing import Any

from pipeline import paths
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.files import write_json
from pipeline.params import load_params


def count(archive: PreparedArchive) -> dict[str, Any]:
    """Return number of images, of classes, and mean number of classes per image, the background left out."""
    first = 1 if archive.has_background else 0
    present = [sum(index >= first for index in archive.classes_in(image_id)) for image_id in archive.ids]
    return {
        "images": len(archive.ids),
        "classes": archive.num_classes - first,
        "classes_per_image": round(sum(present) / len(present), 6),
    }


def main() -> None:
    """Run the stage."""
    with clear_errors(DatasetError):
        names = load_params().datasets
        write_json(paths.DATA_STATISTICS, {name: count(PreparedArchive(paths.prepared(name, "train"))) for name in names})


if __name__ == "__main__":
    main()
