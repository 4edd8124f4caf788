"""Stage `raw@DATASET`: bring the raw files of a data set into data/raw/DATASET, or point to an existing copy.

`source: synthetic` writes procedural pictures in the raw layout of the real set, `download` fetches the real files, and a
path leaves the files where they are: only a note of the place is written. What follows reads data/raw/DATASET/source.json
and cannot tell the three apart.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pipeline import paths
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.registry import DATASETS
from pipeline.errors import clear_errors
from pipeline.files import atomic_folder, walk, with_home, write_json
from pipeline.params import Dataset, load_params
from pipeline.stages.common import lookup, stage_arguments

TEST_PHOTOS = {"voc": 20}
"""Kinds whose test photos are published without masks, and how many procedural ones are made."""


def write_synthetic(spec: Dataset, folder: Path, seed: int) -> None:
    """Write procedural pictures into `folder` in the raw layout of the data set's kind.

    Raises:
        DatasetError: a class is unknown to the reader.
    """
    from pipeline.datasets.scenes import SCENES

    reader = DATASETS[spec.kind]
    if spec.synthetic is None:
        raise DatasetError("params.yaml: source is synthetic, so the data set needs the section 'synthetic'")
    key = "synthetic.classes" if spec.synthetic.classes else "classes"
    classes = spec.synthetic.classes or spec.classes or reader.class_names[int(reader.has_background) :]
    unknown = [name for name in classes if name not in reader.class_names]
    if unknown:
        raise DatasetError(f"params.yaml: {key}: {', '.join(unknown)} unknown; known: {', '.join(reader.class_names)}")
    indices = [reader.class_names.index(name) for name in classes]
    size = (spec.synthetic.width_px, spec.synthetic.height_px)
    counts = {"train": spec.synthetic.train, "val": spec.synthetic.val, "test": TEST_PHOTOS.get(spec.kind, 0)}
    scenes = {
        split: SCENES[spec.kind](count, seed=seed, class_indices=indices, size_px=size, split=split)
        for split, count in counts.items()
        if count
    }
    reader.write(folder, scenes)


def fingerprint(root: Path) -> str:
    """Return a digest of the names, sizes and modification times of all files below `root`, in linked folders too."""
    digest = hashlib.sha256()
    for path in walk(root):
        status = path.stat() if path.exists() else path.lstat()
        digest.update(os.fsencode(f"{path.relative_to(root)} {status.st_size} {status.st_mtime_ns}\n"))
    return digest.hexdigest()


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, dataset="key of `datasets` in params.yaml").dataset
    with clear_errors(DatasetError):
        params = load_params()
        spec = lookup(params.datasets, name, "datasets")
        with atomic_folder(paths.raw(name)) as folder:
            root = Path(".")
            if spec.source == "synthetic":
                write_synthetic(spec, folder, params.seed)
            elif spec.source == "download":
                from pipeline.datasets.download import download

                download(spec.kind, folder, folder.parent / ".archives")
            else:
                root = with_home(Path(spec.source)).absolute()
            dataset = DATASETS[spec.kind](folder / root)
            dataset.verify()
            print(f"{name}: {dataset.account()}")
            note = {"kind": spec.kind, "source": spec.source, "root": str(root)}
            if root.is_absolute():  # files that DVC does not see: a change of any of them must show
                note["files"] = fingerprint(root)
            write_json(folder / paths.raw_source(name).name, note)


if __name__ == "__main__":
    main()
