"""All data sets at a glance: the pages of docs/data.md from the readers' datasheets, and the counts of a copy on disk.

python -m pipeline.datasets.inventory --write        rewrites the generated part of docs/data.md
python -m pipeline.datasets.inventory KIND PATH      images, classes and pixels per class of a copy, and the files left out
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from pipeline.command import command_parser
from pipeline.conventions import VOID
from pipeline.datasets.base import RawDataset
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.registry import DATASETS
from pipeline.errors import clear_errors
from pipeline.files import replace_block

PAGE = Path(__file__).resolve().parents[2] / "docs" / "data.md"
MARK = "inventory"


class Counts(NamedTuple):
    """What one split of a copy holds.

    Attributes:
        images: how many.
        images_with: (C,) images that hold each class.
        pixels: (C,) pixels of each class; zeros in a classification set.
        void_pixels: pixels without a class.
        images_with_void: images with such pixels.
    """

    images: int
    images_with: np.ndarray
    pixels: np.ndarray
    void_pixels: int
    images_with_void: int


def count_split(dataset: RawDataset, split: str) -> Counts:
    """Return the counts of one split, read from its files.

    Raises:
        DatasetError: a broken or missing file.
    """
    pixels, images = np.zeros(256, np.int64), np.zeros(256, np.int64)
    ids = dataset.ids(split)
    for image_id in tqdm(ids, desc=split, unit="img", disable=None, leave=False):
        dataset.read_image(image_id)
        if dataset.task == "classification":
            images[dataset.read_class(image_id)] += 1
        else:
            labels = dataset.read_labels(image_id)
            dataset.read_drawn(image_id, labels)
            found = np.bincount(labels.ravel(), minlength=256)
            pixels += found
            images += found > 0
    count = len(dataset.class_names)
    return Counts(len(ids), images[:count], pixels[:count], int(pixels[VOID]), int(images[VOID]))


def counts_table(dataset: RawDataset, counts: dict[str, Counts]) -> str:
    """Return the counts as a table in Markdown: images that hold each class and its share of the pixels that are not void."""
    segmented = dataset.task == "segmentation"
    heads = [f"{split}, images" for split in counts] + [f"{split}, % of pixels" for split in counts if segmented]
    rows = [["class", "name", *heads]]
    for index, name in enumerate(dataset.class_names):
        cells = [str(one.images_with[index]) for one in counts.values()]
        if segmented:
            cells += [f"{100 * one.pixels[index] / max(1, one.pixels.sum()):.2f}" for one in counts.values()]
        rows.append([str(index), name, *cells])
    total = [str(one.images) for one in counts.values()]
    if segmented:
        total += [f"{one.pixels.sum()} px" for one in counts.values()]
        void = [str(one.images_with_void) for one in counts.values()] + [f"{one.void_pixels} px" for one in counts.values()]
        rows.append(["", "void", *void])
    rows.append(["", "all", *total])
    return markdown_table(rows)


def markdown_table(rows: list[list[str]]) -> str:
    """Return rows, the first of which is the header, as a table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]]) + "\n"


def datasheets() -> str:
    """Return the generated part of docs/data.md."""
    rows = [["`kind`", "data set", "task", "classes", "train", "val", "licence"]]
    sections = []
    for kind, reader in DATASETS.items():
        classes = f"{len(reader.class_names) - 1} + background" if reader.has_background else str(len(reader.class_names))
        images = [f"{reader.published[split]:,}" if split in reader.published else "-" for split in reader.splits]
        rows.append([f"`{kind}`", reader.title, reader.task, classes, *images, reader.licence])
        homepage = f"<{reader.homepage}>" if "://" in reader.homepage else "this page"
        facts = [
            f"- Get it: {reader.obtain}",
            f"- Homepage: {homepage}",
            f"- Cite: {reader.citation}",
            f"- Classes: {', '.join(reader.class_names)}",
        ]
        parts = [f"### `{kind}`: {reader.title}", inspect.cleandoc(reader.__doc__ or ""), "\n".join(facts)]
        sections.append("\n\n".join([*parts, f"```\n{reader.layout.strip()}\n```\n"]))
    return (markdown_table(rows) + "\n" + "\n".join(sections)).strip()


def main() -> None:
    """Run the tool."""
    parser = command_parser(__doc__, "pipeline.datasets.inventory voc downloads/voc")
    parser.add_argument("kind", nargs="?", choices=sorted(DATASETS), help="kind of data set")
    parser.add_argument("path", nargs="?", type=Path, help="where the copy lies")
    parser.add_argument("--write", action="store_true", help="rewrite docs/data.md")
    arguments = parser.parse_args()
    if arguments.write:
        replace_block(PAGE, MARK, datasheets())
    elif arguments.kind is None or arguments.path is None:
        parser.error("give KIND and PATH, or --write")
    else:
        with clear_errors(DatasetError):
            dataset = DATASETS[arguments.kind](arguments.path)
            dataset.verify()
            print(counts_table(dataset, {split: count_split(dataset, split) for split in dataset.splits}))
            print(dataset.account())


if __name__ == "__main__":
    main()
