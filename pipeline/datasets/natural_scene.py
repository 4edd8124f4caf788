"""Natural scenes (Intel, Analytics Vidhya): classification into six classes ([SSL] Figure 3d)."""

from __future__ import annotations

import hashlib
import random
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple

from pipeline.datasets.base import Account, RawDataset, Scene
from pipeline.datasets.pictures import encode_photo, picture_formats, picture_size
from pipeline.datasets.raw_files import DatasetError, file_id, files_by_id, is_system_file, named_errors, require
from pipeline.files import finite_number, read_table, write_atomically

CLASS_NAMES = ("buildings", "forest", "glacier", "mountain", "sea", "street")
FOLDERS = {"train": "seg_train", "val": "seg_test"}
HELD_OUT = (3000, 17034)
"""Pictures of the validation split, of all labelled ones: of the flat layout, as many as the other layout holds out."""
RESTORE = "restore the published file"
WIDEST = 2
"""Pictures longer than this many times their width are mentioned: they would be distorted by resizing to a square."""


class Labelled(NamedTuple):
    """One picture: where it lies and its class index."""

    path: Path
    class_index: int


class NaturalScene(RawDataset):
    """Intel natural scenes (14,034 train and 3,000 test pictures, most of them 150x150): classification into 6 classes.

    Two packagings are read: folders seg_train and seg_test with a folder per class (each may be doubled, as it is in the
    original archive), where "val" is seg_test; and the flat contest form, train.csv with a folder train of 17,034 labelled
    pictures, of which `random.Random(0).sample` holds out the same share (3,000) for "val". Pictures without a label
    (seg_pred, the contest's test pictures) are not used. Sizes are not assumed. One picture of the first packaging lies in
    both splits with different classes; that is left as published.

    Image ids are <split>_<class>_<number> or, in the flat form, the file names without suffix.
    """

    name = "natural_scene"
    title = "Natural Scene (Intel)"
    task = "classification"
    class_names = CLASS_NAMES
    has_background = False
    palette = ((166, 86, 40), (51, 160, 44), (140, 200, 230), (130, 120, 140), (31, 90, 180), (90, 90, 90))
    licence = "none stated; published by Intel for an Analytics Vidhya contest: research use only, no redistribution"
    citation = "Natural Scenes Dataset, kaggle.com/datasets/nitishabharathi/scene-classification, 2020"
    homepage = "https://www.kaggle.com/datasets/puneet6060/intel-image-classification"
    published: ClassVar[Mapping[str, int]] = {"train": 14034, "val": 3000}
    obtain = (
        "Log in to Kaggle, download the archive from the homepage (or nitishabharathi/scene-classification, the flat form), "
        "unpack it, and set `source` to the folder that holds seg_train and seg_test (or train.csv and train)."
    )
    layout = """
seg_train/<class>/<number>.jpg        or seg_train/seg_train/<class>/<number>.jpg
seg_test/<class>/<number>.jpg         or seg_test/seg_test/<class>/<number>.jpg

or, in the flat form:
train.csv                             header image_name,label
train/<image_name>
"""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._splits: dict[str, dict[str, Labelled]] = {}

    def verify(self) -> None:
        """Check layout and classes, and that each picture can be opened."""
        if not self.ids("train"):
            raise DatasetError(f"{self.root}: there is no picture for training; restore the data set, or check `source`")
        for path, _ in self._all().values():
            picture_size(path)

    def account(self) -> Account:
        """Return what became of every file, with notes on long pictures and on those that stand under several classes."""
        odd, places = [], dict[bytes, dict[int, str]]()
        for image_id, (path, class_index) in self._all().items():
            width, height = picture_size(path)
            if max(width, height) > WIDEST * min(width, height):
                odd.append(image_id)
            places.setdefault(hashlib.sha256(path.read_bytes()).digest(), {}).setdefault(class_index, image_id)
        unsure = [list(ids.values()) for ids in places.values() if len(ids) > 1]
        notes = []
        if odd:
            notes.append(f"{len(odd)} pictures are more than {WIDEST} times longer than wide, the first is {odd[0]}")
        if unsure:
            notes.append(f"{len(unsure)} pictures stand under more than one class, the first as {' and '.join(unsure[0])}")
        return super().account()._replace(notes=tuple(notes))

    def ids(self, split: str) -> list[str]:
        """Return the ids of a split: by class, then by file name."""
        self.check_split(split)
        return list(self._split(split))

    def image_path(self, image_id: str) -> Path:
        """Return where the picture lies."""
        return self._find(image_id).path

    def tables(self) -> list[Path]:
        """Return the table of the flat form, where there is one."""
        return [] if self._table is None else [self._table]

    def read_class(self, image_id: str) -> int:
        """Return the class index of the picture."""
        return self._find(image_id).class_index

    @classmethod
    def write(cls, root: Path, splits: Mapping[str, Sequence[Scene]]) -> None:
        """Write scenes in the packaging of folders; scenes without a class are left out."""
        for split, folder in FOLDERS.items():
            for name in cls.class_names:
                (Path(root) / folder / folder / name).mkdir(parents=True, exist_ok=True)
            for number, scene in enumerate(splits.get(split, ())):
                if scene.class_index is not None:
                    name = cls.class_names[scene.class_index]
                    path = Path(root) / folder / folder / name / f"{number:05d}.jpg"
                    write_atomically(path, encode_photo(scene.image, "JPEG"))

    def _find(self, image_id: str) -> Labelled:
        if image_id not in self._all():
            raise DatasetError(f"{self.root}: has no picture '{image_id}'; take its id out of the list")
        return self._all()[image_id]

    def _all(self) -> Mapping[str, Labelled]:
        return ChainMap(self._split("val"), self._split("train"))  # goes through the last one first

    def _split(self, split: str) -> dict[str, Labelled]:
        if not self._splits:
            read = self._read_folders() if self._table is None else self._read_table(self._table)
            self._splits = dict(zip(self.splits, read))
        return self._splits[split]

    @cached_property
    def _table(self) -> Path | None:
        return next((path for path in (self.root / "train.csv", *self.root.glob("*/train.csv")) if path.is_file()), None)

    def _read_folders(self) -> Iterator[dict[str, Labelled]]:
        for split, name in FOLDERS.items():
            outer = self.root / name
            folder = outer / name if (outer / name).is_dir() else outer
            require(folder, "the path must hold seg_train and seg_test, or train.csv and train; check `source` of the data set")
            folders = {path.name for path in folder.iterdir() if path.is_dir() and not is_system_file(path.name)}
            unknown = sorted(folders - set(CLASS_NAMES))
            if unknown:
                raise DatasetError(f"{folder / unknown[0]}: is no class; the folders are {', '.join(CLASS_NAMES)}")
            yield {
                f"{split}_{label}_{image_id}": Labelled(path, class_index)
                for class_index, label in enumerate(CLASS_NAMES)
                for image_id, path in files_by_id(folder / label, picture_formats()).items()
            }

    def _read_table(self, table: Path) -> Iterator[dict[str, Labelled]]:
        with named_errors():
            header, lines = read_table(table)
        rows: dict[str, int] = {}
        given: dict[str, str] = {}
        for where, cells in lines:
            row = dict(zip(header, cells))
            try:
                name, label = row["image_name"], finite_number(row["label"])
            except (ValueError, KeyError) as error:
                raise DatasetError(f"{table}: is not of the form image_name,label ({where}: {error!r}); {RESTORE}") from error
            if label not in range(len(CLASS_NAMES)):
                raise DatasetError(f"{where}: {name} has the label {label:g}, not in 0..{len(CLASS_NAMES) - 1}; {RESTORE}")
            image_id = Path(file_id(name, where)).stem
            if image_id in given:
                raise DatasetError(f"{where}: {name} has the same id as {given[image_id]}, which has a line already; keep one")
            given[image_id] = name
            rows[name] = int(label)
        if not rows:
            raise DatasetError(f"{table}: is not of the form image_name,label: it has no line; {RESTORE}")
        names = sorted(rows, key=lambda name: (rows[name], name))
        held_out = set(random.Random(0).sample(sorted(rows), round(len(rows) * HELD_OUT[0] / HELD_OUT[1])))
        for split in FOLDERS:
            chosen = [name for name in names if (name in held_out) == (split == "val")]
            yield {Path(file_id(name, name)).stem: Labelled(table.parent / "train" / name, rows[name]) for name in chosen}
