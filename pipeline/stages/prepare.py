"""Stage `prepare@DATASET`: pack each split into one archive: pictures as they are, masks as class indices, annotations.

Everything after this stage reads the archives only, one file per split. Classes that params.yaml does not keep become
background; images without any kept class are left out.
"""

from __future__ import annotations

import json

from pipeline import paths
from pipeline.datasets.prepared import write_prepared
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.registry import open_raw
from pipeline.errors import clear_errors
from pipeline.params import load_params
from pipeline.stages.common import lookup, stage_arguments


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, dataset="key of `datasets` in params.yaml").dataset
    with clear_errors(DatasetError):
        spec = lookup(load_params().datasets, name, "datasets")
        dataset, _ = open_raw(paths.raw_source(name))
        for split, limit in (("train", spec.limit_train), ("val", spec.limit_val)):
            counts = write_prepared(
                paths.prepared(name, split), dataset, split, classes=spec.classes, images=spec.images, limit=limit
            )
            print(f"{name} {split}: {json.dumps(counts)}")


if __name__ == "__main__":
    main()
