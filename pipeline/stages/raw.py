"""Stage `raw@DATASET`: bring the raw files of a data set into data/raw/DATASET, or point to an existing copy.

`source: synthetic` writes procedural pictures in the raw layout of the real set, `download` fetches the real files, and a
path leaves the files where they are: only a note of the place is written. What follows reads data/raw/DATASET/source.json
and cannot tell the three apart.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline import paths
from pipeline.datasets.base import DatasetError
from pipeline.datasets.registry import DATASETS
from pipeline.files import write_json
from pipeline.params import Dataset, load_params
from pipeline.stages.common import clear_errors, stage_arguments


def write_synthetic(spec: Dataset, folder: Path, seed: int) -> None:
    """Write procedural pictures into `folder` in the raw layout of the data set's kind.

    Raises:
        DatasetError: a class of `synthetic.classes` is unknown to the reader.
    """
    from pipeline.datasets.synthetic import make_scenes

    reader = DATASETS[spec.kind]
    assert spec.synthetic is not None  # params guarantee it; this tells the type checker
    unknown = [name for name in spec.synthetic.classes if name not in reader.class_names]
    if unknown:
        raise DatasetError(
            f"params.yaml: synthetic.classes: {', '.join(unknown)} unknown; known: {', '.join(reader.class_names)}"
        )
    indices = [reader.class_names.index(name) for name in spec.synthetic.classes]
    size = (spec.synthetic.width_px, spec.synthetic.height_px)
    scenes = {
        split: make_scenes(count, seed=seed, class_indices=indices, size_px=size, split=split)
        for split, count in (("train", spec.synthetic.train), ("val", spec.synthetic.val))
    }
    reader.write(folder, scenes)


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, dataset="key of `datasets` in params.yaml").dataset
    with clear_errors(DatasetError):
        params = load_params()
        spec = params.datasets[name]
        final = paths.raw(name)
        folder = final.with_name(f".{name}.tmp")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        root = Path(".")
        if spec.source == "synthetic":
            write_synthetic(spec, folder, params.seed)
        elif spec.source == "download":
            from pipeline.datasets.download import download

            download(spec.kind, folder)
        else:
            root = Path(spec.source).expanduser().absolute()
        DATASETS[spec.kind](folder / root).verify()
        write_json(folder / paths.raw_source(name).name, {"kind": spec.kind, "source": spec.source, "root": str(root)})
        shutil.rmtree(final, ignore_errors=True)
        os.replace(folder, final)


if __name__ == "__main__":
    main()
