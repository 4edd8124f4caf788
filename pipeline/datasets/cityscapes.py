"""Cityscapes: street scenes with 19 evaluated classes ([SSL] Table 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import RawDataset, Scene
from pipeline.datasets.pictures import encode_photo, read_mask
from pipeline.datasets.raw_files import DatasetError, file_id, is_system_file, require
from pipeline.files import write_atomically

CLASSES = (
    (7, "road", (128, 64, 128)), (8, "sidewalk", (244, 35, 232)), (11, "building", (70, 70, 70)), (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)), (17, "pole", (153, 153, 153)), (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)), (21, "vegetation", (107, 142, 35)), (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)), (24, "person", (220, 20, 60)), (25, "rider", (255, 0, 0)), (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)), (28, "bus", (0, 60, 100)), (31, "train", (0, 80, 100)), (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)  # fmt: skip
"""(published label id, name, published colour) of the evaluated classes, in the order of their indices."""
LABEL_IDS = 34
IMAGE_ENDING = "_leftImg8bit.png"
MASK_ENDING = "_gtFine_labelIds.png"


class Cityscapes(RawDataset):
    """Cityscapes (2,975 train and 500 val photos of 2048x1024 pixels): 19 classes without background; class 0 is the road.

    Masks hold the raw label ids 0..33, of which 19 are evaluated and all others are void. Image ids are the file names
    without ending, sorted by city and name.
    """

    name = "cityscapes"
    title = "Cityscapes"
    class_names = tuple(name for _, name, _ in CLASSES)
    has_background = False
    palette = tuple(color for _, _, color in CLASSES)
    licence = "Cityscapes terms: non-commercial research, no redistribution"
    citation = "Cordts et al., The Cityscapes Dataset for Semantic Urban Scene Understanding, CVPR 2016"
    homepage = "https://www.cityscapes-dataset.com/"
    published: ClassVar[Mapping[str, int]] = {"train": 2975, "val": 500}
    obtain = (
        "Register at the homepage, accept the terms, download leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpack "
        "both into one folder, and set `source` to it."
    )
    layout = """
leftImg8bit/{train,val}/<city>/<id>_leftImg8bit.png
gtFine/{train,val}/<city>/<id>_gtFine_labelIds.png
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._paths: dict[str, tuple[Path, Path]] = {}

    def verify(self) -> None:
        """Check layout, that each photo has a mask, and that they are equally large."""
        for folder in ("leftImg8bit", "gtFine"):
            require(self.root / folder, f"the path must hold leftImg8bit and gtFine ({folder}); check `source` of the data set")
        self.check_pairs(self.labels_path)
        for split in self.splits:
            for mask in _visible(self.root / "gtFine" / split, MASK_ENDING):
                image_id = mask.name.removesuffix(MASK_ENDING)
                photo = self.root / "leftImg8bit" / split / mask.parent.name / f"{image_id}{IMAGE_ENDING}"
                require(photo, f"restore the photo from the original archive; its mask {mask.name} is there")

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split, sorted by city and name."""
        self.check_split(split)
        photos = self.root / "leftImg8bit" / split
        require(photos, "extract the complete archive leftImg8bit_trainvaltest.zip; check `source` of the data set")
        found: dict[str, tuple[Path, Path]] = {}
        for path in _visible(photos, IMAGE_ENDING):
            image_id = file_id(path.name.removesuffix(IMAGE_ENDING), str(path))
            if image_id in found:
                raise DatasetError(f"{path}: has the same id as {found[image_id][0]}; remove one of them")
            found[image_id] = (path, self.root / "gtFine" / split / path.parent.name / f"{image_id}{MASK_ENDING}")
        self._paths |= found
        return list(found)

    def image_path(self, image_id: str) -> Path:
        """Return where the photo lies."""
        return self._find(image_id)[0]

    def labels_path(self, image_id: str) -> Path:
        """Return where the mask of raw label ids lies."""
        return self._find(image_id)[1]

    def annotation_paths(self, image_id: str) -> list[Path]:
        """Return where the mask lies."""
        return [self.labels_path(image_id)]

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`."""
        lookup = np.full(256, VOID, np.uint8)
        lookup[[label_id for label_id, _, _ in CLASSES]] = np.arange(len(CLASSES))
        return lookup[read_mask(self.labels_path(image_id), LABEL_IDS)]

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes; the city is the part of an id before the first underscore, void becomes label id 0."""
        lookup = np.zeros(256, np.uint8)
        lookup[: len(CLASSES)] = [label_id for label_id, _, _ in CLASSES]
        for split in cls.splits:
            for folder in ("leftImg8bit", "gtFine"):
                (Path(root) / folder / split).mkdir(parents=True, exist_ok=True)
            for scene in splits.get(split, ()):
                place = Path(split) / scene.image_id.partition("_")[0]
                photo = Path(root) / "leftImg8bit" / place / f"{scene.image_id}{IMAGE_ENDING}"
                write_atomically(photo, encode_photo(scene.image, "PNG"))
                mask = Path(root) / "gtFine" / place / f"{scene.image_id}{MASK_ENDING}"
                write_atomically(mask, encode_photo(lookup[scene.labels], "PNG"))

    def _find(self, image_id: str) -> tuple[Path, Path]:
        if image_id not in self._paths:
            for split in self.splits:
                self.ids(split)
        missing = self.root / "leftImg8bit" / f"{image_id}{IMAGE_ENDING}"
        return self._paths.get(image_id, (missing, missing))


def _visible(folder: Path, ending: str) -> list[Path]:
    """Return the files with an ending in the folders of cities, sorted."""
    return [path for path in sorted(folder.glob(f"*/*{ending}")) if not any(map(is_system_file, path.parts[-2:]))]
