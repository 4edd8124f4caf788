"""Stage `submission@FAMILY-RUN`: predictions of a run on the PASCAL VOC test photos, as the evaluation server takes them.

`python -m pipeline.stages.submission FAMILY/RUN` writes models/submissions/FAMILY-RUN/results.tgz. reports/dvc.yaml
does so for the runs of [SIZE] Table 2, with `--optional`: nothing else needs the archive, so missing photos stop nothing there.
The test photos have no public masks: the archive is uploaded by hand, and the score returned goes into
reports/voc_test_scores.csv. The photos are those of ImageSets/Segmentation/test.txt in the raw data set of the run.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from tqdm import tqdm

from pipeline import paths
from pipeline.datasets.pictures import picture_size, read_photo
from pipeline.datasets.raw_files import DatasetError, read_list, require
from pipeline.datasets.registry import open_raw
from pipeline.datasets.voc import CLASS_NAMES, Voc
from pipeline.datasets.voc_submission import write_submission
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.params import load_params
from pipeline.predict import Predictor, Which, choose_device, load_trained
from pipeline.runs import Trained

PUBLISHED_PHOTOS = 1456
REMEDY = (
    "the test photos come in VOC2012test.tar, to be downloaded by hand after registering at http://host.robots.ox.ac.uk:8080. "
    "With `source: download` put that file into data/raw/.archives, else extract it where VOCtrainval was extracted; then run "
    "`dvc repro --force raw@voc`"
)
"""What to do about missing photos."""


def listed_photos(reader: Voc) -> dict[str, Path]:
    """Return the test photos of a copy of VOC 2012 by image id, in the order of the list.

    Raises:
        DatasetError: the list or a photo is missing.
    """
    places = {
        image_id: reader.image_path(image_id)
        for image_id in read_list(require(reader.base / "ImageSets/Segmentation/test.txt", REMEDY))
    }
    for place in places.values():
        require(place, REMEDY)
    return places


def photos_of(dataset: str) -> dict[str, Path]:
    """Return the test photos of a data set by image id: all that were published, or those that are procedural.

    Raises:
        ValueError: the data set is not PASCAL VOC, or its list is not the published one.
        DatasetError: the list or a photo is missing.
    """
    reader, source = open_raw(paths.raw_source(dataset))
    if not isinstance(reader, Voc):
        raise ValueError(f"{paths.raw_source(dataset)}: expected a data set of kind voc, got {reader.name}")
    photos = listed_photos(reader)
    if source != "synthetic" and len(photos) != PUBLISHED_PHOTOS:
        raise ValueError(f"test photos of {dataset}: expected all {PUBLISHED_PHOTOS}, got a list of {len(photos)}; {REMEDY}")
    return photos


def voc_classes(class_names: Sequence[str]) -> np.ndarray:
    """Return the VOC class of each class of a run, (C,) uint8: a run may know only some of the classes.

    Raises:
        ValueError: a class is not in VOC.

    >>> voc_classes(["background", "cat", "dog"]).tolist()
    [0, 8, 12]
    """
    unknown = [name for name in class_names if name not in CLASS_NAMES]
    if unknown:
        raise ValueError(f"class_names: expected classes of PASCAL VOC, got {', '.join(unknown)}")
    return np.array([CLASS_NAMES.index(name) for name in class_names], np.uint8)


def predictions(predictor: Predictor, photos: Mapping[str, Path], lookup: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield image id and labels (H, W) uint8 in VOC classes of every photo."""
    ids = list(photos)
    with tqdm(total=len(ids), desc="submission", unit="img", disable=None) as bar:
        while ids:
            count = predictor.batch_size
            chunk, ids = ids[:count], ids[count:]
            labels = predictor.labels([read_photo(photos[image_id]) for image_id in chunk])
            yield from ((image_id, lookup[one]) for image_id, one in zip(chunk, labels))
            bar.update(len(chunk))


def main() -> None:
    """Run the stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="family/run, trained on PASCAL VOC")
    parser.add_argument("--which", choices=("last", "best"), default="last", help="last epoch, or the one that validated best")
    parser.add_argument("--repetition", type=int, default=0, help="which of several trainings (default: 0)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="default: that of params.yaml")
    parser.add_argument("--optional", action="store_true", help="without test photos, write a note in place of the archive")
    parser.add_argument("--tta", action="store_true", help="average with the mirror image")
    arguments = parser.parse_args()
    with clear_errors(DatasetError):
        family, _, name = arguments.run.partition("/")
        if not name:
            raise ValueError(f"expected family/run, got {arguments.run!r}")
        device = choose_device(arguments.device or load_params().device)
        folder = paths.model(family, name)
        trained = load_trained(folder, repetition=arguments.repetition, which=cast(Which, arguments.which), device=device)
        dataset = Trained.of(family, name).dataset
        target = paths.submission(family, name)
        shutil.rmtree(target, ignore_errors=True)
        try:
            photos = photos_of(dataset)
        except (DatasetError, ValueError) as error:
            if not arguments.optional:
                raise
            write_atomically(target / "MISSING.txt", f"{error}\n".encode())
            print(f"{target}: no archive, {error}")
            return
        lookup = voc_classes(trained.class_names)
        sizes = {image_id: picture_size(path) for image_id, path in photos.items()}
        predictor = Predictor(trained, device, mirror=arguments.tta)
        archive = target / "results.tgz"
        write_submission(archive, predictions(predictor, photos, lookup), sizes)
        missing = len(CLASS_NAMES) - len(lookup)
        note = f"; {missing} VOC classes are unknown to this run and score 0" if missing else ""
        print(f"{archive}: {len(photos)} photos{note}")


if __name__ == "__main__":
    main()
