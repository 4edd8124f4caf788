"""ADE20K in the form of the scene parsing challenge: 150 classes of things and stuff ([SSL] Table 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from pipeline.conventions import VOID
from pipeline.datasets.base import RawDataset, Scene
from pipeline.datasets.pictures import color_map, encode_photo, picture_formats, read_mask
from pipeline.datasets.raw_files import DatasetError, files_by_id, require
from pipeline.files import write_atomically

CLASS_NAMES = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand", "sink",
    "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table", "pillow",
    "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower", "book", "hill",
    "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat", "bar", "arcade machine",
    "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning", "streetlight", "booth", "television",
    "airplane", "dirt track", "apparel", "pole", "land", "bannister", "escalator", "ottoman", "bottle", "buffet", "poster",
    "stage", "van", "ship", "fountain", "conveyer belt", "canopy", "washer", "plaything", "swimming pool", "stool",
    "barrel", "basket", "waterfall", "tent", "bag", "minibike", "cradle", "oven", "ball", "food", "step", "tank",
    "trade name", "microwave", "pot", "animal", "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture", "hood",
    "sconce", "vase", "traffic light", "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board",
    "shower", "radiator", "glass", "clock", "flag",
)  # fmt: skip
"""First word of each entry of objectInfo150.txt, in its order."""
FOLDERS = {"train": "training", "val": "validation"}


class Ade20k(RawDataset):
    """ADE20K, SceneParse150 (20,210 train and 2,000 val photos): 150 classes without background; class 0 is the wall.

    Masks are grey PNGs that hold 1..150; 0 means other or unlabelled and becomes void, so it is no background. Sizes differ
    from photo to photo. Image ids are the file names without suffix, sorted.
    """

    name = "ade20k"
    title = "ADE20K (SceneParse150)"
    class_names = CLASS_NAMES
    has_background = False
    palette = color_map(len(CLASS_NAMES) + 1)[1:]
    licence = "ADE20K terms: non-commercial research and education"
    citation = "Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017"
    homepage = "https://groups.csail.mit.edu/vision/datasets/ADE20K/"
    published: ClassVar[Mapping[str, int]] = {"train": 20210, "val": 2000}
    obtain = "`source: download` fetches ADEChallengeData2016.zip (1 GB)."
    layout = """
ADEChallengeData2016/images/{training,validation}/<id>.jpg
ADEChallengeData2016/annotations/{training,validation}/<id>.png
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        inner = self.root / "ADEChallengeData2016"
        self.base = inner if inner.is_dir() or not (self.root / "annotations").is_dir() else self.root
        self._photos: dict[str, Path] = {}
        self._masks: dict[str, Path] = {}

    def verify(self) -> None:
        """Check layout, that each photo has a mask, and that they are equally large."""
        require(self.base, "the path must hold ADEChallengeData2016 (or be it); check `source` of the data set")
        self.check_pairs(self.labels_path)
        for image_id, mask in self._masks.items():
            if image_id not in self._photos:
                photo = self.base / "images" / mask.parent.name / f"{image_id}.jpg"
                require(photo, f"restore the photo from the original archive; its mask {mask.name} is there")

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split, sorted."""
        self.check_split(split)
        photos, masks = (self.base / kind / FOLDERS[split] for kind in ("images", "annotations"))
        require(photos, "extract the complete archive ADEChallengeData2016.zip; check `source` of the data set")
        found = files_by_id(photos, picture_formats())
        self._photos |= found
        self._masks |= files_by_id(masks, (".png",)) if masks.is_dir() else {}
        return list(found)

    def image_path(self, image_id: str) -> Path:
        """Return where the photo lies."""
        self._list_once()
        return self._photos.get(image_id, self.base / "images" / FOLDERS["train"] / f"{image_id}.jpg")

    def labels_path(self, image_id: str) -> Path:
        """Return where the mask lies."""
        self._list_once()
        folder = self.image_path(image_id).parent.name
        return self._masks.get(image_id, self.base / "annotations" / folder / f"{image_id}.png")

    def annotation_paths(self, image_id: str) -> list[Path]:
        """Return where the mask lies."""
        return [self.labels_path(image_id)]

    def read_labels(self, image_id: str) -> np.ndarray:
        """Return the mask: (H, W) uint8, class index or `VOID`."""
        path = self.labels_path(image_id)
        numbers = read_mask(path, len(CLASS_NAMES) + 1)
        if (numbers == VOID).any():
            raise DatasetError(f"{path}: holds the value {VOID}, but 0 is unlabelled here; use the original PNG with 0..150")
        return np.where(numbers == 0, np.uint8(VOID), numbers - np.uint8(1))

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes; void becomes 0."""
        base = Path(root) / "ADEChallengeData2016"
        for split, folder in FOLDERS.items():
            (base / "images" / folder).mkdir(parents=True, exist_ok=True)
            for scene in splits.get(split, ()):
                write_atomically(base / "images" / folder / f"{scene.image_id}.jpg", encode_photo(scene.image, "JPEG"))
                numbers = np.where(scene.labels == VOID, np.uint8(0), scene.labels + np.uint8(1))
                write_atomically(base / "annotations" / folder / f"{scene.image_id}.png", encode_photo(numbers, "PNG"))

    def _list_once(self) -> None:
        for split in self.splits if not self._photos else ():
            self.ids(split)
