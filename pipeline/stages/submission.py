"""Stage `submission`: predictions of a run on the PASCAL VOC test photos, as the evaluation server takes them.

`python -m pipeline.stages.submission FAMILY/RUN` writes reports/submissions/FAMILY-RUN.tgz and checks it. The test photos have no
public masks: the archive is uploaded by hand and the score returned goes into reports/voc_test_scores.csv. The photos are those
of ImageSets/Segmentation/test.txt in the raw data set of the run, which VOC2012test.tar adds to the copy of the data.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from tqdm import tqdm

from pipeline import paths
from pipeline.datasets.base import DatasetError, picture_size, read_list, read_photo, require
from pipeline.datasets.voc import CLASS_NAMES, Voc
from pipeline.evaluation.voc_submission import write_submission
from pipeline.predict import Predictor, Which, choose_device, load_trained
from pipeline.stages.common import clear_errors

SUBMISSIONS = Path("reports/submissions")


def listed_photos(root: Path) -> dict[str, Path]:
    """Return the test photos of a copy of VOC 2012 by image id, in the order of the list.

    Args:
        root: what `Voc` takes.

    Raises:
        DatasetError: the list or a photo is missing.
    """
    reader = Voc(root)
    remedy = "extract VOC2012test.tar of the evaluation server into the same folder"
    places = {
        image_id: reader.image_path(image_id)
        for image_id in read_list(require(reader.base / "ImageSets/Segmentation/test.txt", remedy))
    }
    for place in places.values():
        require(place, remedy)
    return places


def raw_voc(dataset: str) -> Path:
    """Return where the raw files of a data set lie.

    Raises:
        ValueError: the data set is not PASCAL VOC.
    """
    source = json.loads(paths.raw_source(dataset).read_text(encoding="utf-8"))
    if source["kind"] != Voc.name:
        raise ValueError(f"{paths.raw_source(dataset)}: expected a data set of kind voc, got {source['kind']}")
    return paths.raw(dataset) / source["root"]


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
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--tta", action="store_true", help="average with the mirror image")
    arguments = parser.parse_args()
    with clear_errors(DatasetError):
        family, _, name = arguments.run.partition("/")
        if not name:
            raise ValueError(f"expected family/run, got {arguments.run!r}")
        device = choose_device(arguments.device)
        folder = paths.model(family, name)
        trained = load_trained(folder, repetition=arguments.repetition, which=cast(Which, arguments.which), device=device)
        record = json.loads(paths.run_record(family, name).read_text(encoding="utf-8"))
        photos = listed_photos(raw_voc(record["run"]["dataset"]))
        lookup = voc_classes(trained.class_names)
        sizes = {image_id: picture_size(path) for image_id, path in photos.items()}
        predictor = Predictor(trained, device, mirror=arguments.tta)
        archive = SUBMISSIONS / f"{family}-{name}.tgz"
        write_submission(archive, predictions(predictor, photos, lookup), sizes)
        missing = len(CLASS_NAMES) - len(lookup)
        note = f"; {missing} VOC classes are unknown to this run and score 0" if missing else ""
        print(f"{archive}: {len(photos)} photos{note}")


if __name__ == "__main__":
    main()
