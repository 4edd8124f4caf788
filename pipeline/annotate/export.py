"""Check answers and make supervision of them: `python -m pipeline.annotate.export annotations.csv --images DIR --classes cat`.

Prints who annotated what, how people agree and, where masks are known, their errors as in [SIZE] Table 1. The table written
(`--out`) has a line per picture and a column per class, as every other size target in the pipeline. Scribbles, of
annotations.strokes.jsonl, become <id>.png, 255 where nothing is drawn (`--scribbles`), and ScribbleSup's <id>.xml (`--xml`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.annotate.__main__ import add_source_arguments, open_pictures, strokes_file
from pipeline.annotate.pictures import Pictures
from pipeline.annotate.results import ClassResult, summarise
from pipeline.command import command_parser
from pipeline.datasets.pictures import color_map, upright_size, write_mask
from pipeline.datasets.raw_files import DatasetError
from pipeline.datasets.voc import scribble_xml
from pipeline.errors import clear_errors
from pipeline.files import write_atomically
from pipeline.targets.annotated_sizes import COMBINATIONS, Calibration, combine, standing
from pipeline.targets.annotation_errors import AnnotationError, agreement, annotation_errors
from pipeline.targets.annotations import BACKGROUND, Annotation, fingerprint, read_annotations
from pipeline.targets.sizes import write_size_targets
from pipeline.targets.strokes import Draw, check_strokes, draw_seeds, read_strokes, strokes_by_image, to_scribbles
from pipeline.targets.strokes import standing as strokes_standing


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(__doc__, "pipeline.annotate.export annotations.csv --images photos --classes cat,dog --out sizes.csv")
    parser.add_argument("annotations", type=Path, metavar="CSV", help="file of `python -m pipeline.annotate`")
    add_source_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="CSV", help="table of size targets to write; without it, only the report")
    parser.add_argument("--scribbles", type=Path, metavar="DIR", help="folder to write scribbles to, a PNG per picture")
    parser.add_argument("--xml", type=Path, metavar="DIR", help="folder to write poly-lines to, one XML per picture")
    parser.add_argument("--how", choices=sorted(COMBINATIONS), default="median", help="over annotators (default: median)")
    parser.add_argument(
        "--leave-out", action="store_true", help="leave pictures out that nobody has finished, instead of stopping"
    )
    parser.add_argument("--leave-out-unsure", action="store_true", help="ignore pictures that an annotator was unsure about")
    parser.add_argument(
        "--calibrate", action="store_true", help="correct each annotator's sizes by a fit to pictures whose masks are known"
    )
    return parser.parse_args(arguments)


def exact_sizes(pictures: Pictures, rows: Sequence[Annotation]) -> dict[str, np.ndarray]:
    """Return image id -> exact sizes of the annotated pictures whose masks are known."""
    known = set(pictures.ids)
    found = {image_id: pictures.exact_sizes(image_id) for image_id in {row.image_id for row in rows} & known}
    return {image_id: sizes for image_id, sizes in found.items() if sizes is not None}


def report(rows: Sequence[Annotation], errors: Mapping[str, Sequence[AnnotationError]], class_names: Sequence[str]) -> list[str]:
    """Return the lines of the report: people, agreement, errors by person and class, calibrations."""
    lines = []
    for name, answers in standing(rows).items():
        done = [answer for answer in answers.values() if answer.complete]
        pace = f", {np.mean([answer.seconds for answer in done]):.1f} s per picture" if done else ""
        lines.append(f"{name}: {len(done)} pictures finished, {len(answers) - len(done)} begun or put off{pace}")
    for pair in agreement(rows):
        text = f"{pair.first} and {pair.second}: {pair.images} pictures by both"
        if pair.tagged:
            text += f", {pair.same_tags:.0%} of classes tagged by both, sizes differ by {pair.difference:.1%} in the median"
        lines.append(text)
    for name, own in errors.items():
        results = summarise(own, class_names)
        lines += [_line(name, result) for result in (*results.classes, results.overall) if result.answers]
        if results.calibration != Calibration():
            fit = "size -> {:.3f} * size ** {:.3f}".format(*results.calibration)
            lines.append(f"{name}: calibration {fit}, mRE on the same answers {results.calibrated_mre:.1%}")
    return lines


def _line(annotator: str, result: ClassResult) -> str:
    pace = f", {result.seconds:.1f} s" if math.isfinite(result.seconds) else ""
    errors = f"mRE {result.mre:.1%}, median {result.median:.1%}, bias {result.bias:+.1%}"
    return f"{annotator}, {result.name}: {errors}{pace} ({result.answers} answers)"


def export_sizes(arguments: argparse.Namespace, pictures: Pictures, class_names: Sequence[str]) -> None:
    """Report on sizes, and write them where the command line asks for it."""
    names = [BACKGROUND, *class_names]
    rows, damaged = read_annotations(arguments.annotations)
    for line in damaged:
        print(f"note: set aside, {line}")
    of_all = annotation_errors(rows, exact_sizes(pictures, rows), names)
    errors = {name: [one for one in of_all if one.annotator == name] for name in dict.fromkeys(one.annotator for one in of_all)}
    calibrations = {name: summarise(own, class_names).calibration for name, own in errors.items()}
    if arguments.calibrate and not any(fit != Calibration() for fit in calibrations.values()):
        raise ValueError("--calibrate: needs ten answers of an annotator on pictures whose masks are known; give --masks")
    print("\n".join(report(rows, errors, class_names)))
    combined = combine(
        rows,
        names,
        pictures.ids,
        how=arguments.how,
        missing="leave_out" if arguments.leave_out else "error",
        unsure="leave_out" if arguments.leave_out_unsure else "keep",
        calibrations=calibrations if arguments.calibrate else None,
        pictures={image_id: fingerprint(pictures.content(image_id)) for image_id in pictures.ids},
    )
    if combined.left_out:
        print(f"left out: {len(combined.left_out)} pictures that nobody has finished, the first is {combined.left_out[0]}")
    if combined.normalised:
        print(f"scaled to sum 1: {len(combined.normalised)} pictures, the first is {combined.normalised[0]}")
    if arguments.out:
        write_size_targets(arguments.out, combined.ids, combined.sizes, names)
        print(f"{arguments.out}: size targets of {len(combined.ids)} pictures, {arguments.how} over annotators")


def export_scribbles(arguments: argparse.Namespace, pictures: Pictures, class_names: Sequence[str]) -> None:
    """Report on scribbles, and write them where the command line asks for it.

    Raises:
        ValueError: the file is damaged, or holds an unknown class, an unknown picture or one that was exchanged since.
        DatasetError: a picture that was drawn on cannot be read.
    """
    names = [BACKGROUND, *class_names]
    rows, damaged = read_strokes(strokes_file(arguments.annotations))
    for line in damaged:
        print(f"note: set aside, {line}")
    known = {row.image_id for row in rows if isinstance(row, Draw)} & set(pictures.ids)
    marks = {image_id: fingerprint(pictures.content(image_id)) for image_id in pictures.ids if image_id in known}
    check_strokes(rows, names, known_ids=pictures.ids, pictures=marks)
    people = strokes_standing(rows)
    for name, drawings in people.items():
        done = [drawing for drawing in drawings.values() if drawing.complete]
        pace = f", {np.mean([drawing.seconds for drawing in done]):.1f} s per picture" if done else ""
        print(f"{name}: {sum(len(drawing.strokes) for drawing in done)} strokes on {len(done)} pictures{pace}")
    drawn_on = strokes_by_image(rows)
    disputed: list[str] = []
    for folder, suffix in ((arguments.scribbles, ".png"), (arguments.xml, ".xml")):
        if folder is None:
            continue
        written = 0
        for image_id in marks:
            path = folder / f"{image_id}{suffix}"
            drawn = drawn_on.get(image_id, [])
            if not drawn:
                if path.exists():
                    print(f"note: {path} is there, but nothing is drawn on {image_id} any more; remove it")
                continue
            size = upright_size(pictures.content(image_id), image_id)
            if suffix == ".png":
                seeds, clash = draw_seeds(drawn, size, names)
                disputed += [image_id] if clash else []
                write_mask(path, seeds, color_map(len(names)))
            else:
                lines = to_scribbles([stroke for strokes in drawn for stroke in strokes], names)
                write_atomically(path, scribble_xml(image_id, lines, size, names))
            written += 1
        print(f"{folder}: scribbles of {written} pictures")
    if disputed:
        print(f"left undrawn where people disagree: {len(disputed)} pictures, the first is {disputed[0]}")


def main() -> None:
    """Run the command line."""
    arguments = parse_arguments()
    with clear_errors(DatasetError):
        pictures, class_names = open_pictures(arguments)
        drawn, asked = strokes_file(arguments.annotations).exists(), arguments.scribbles or arguments.xml
        if asked or drawn:
            export_scribbles(arguments, pictures, class_names)
        if arguments.out or (not asked and (arguments.annotations.exists() or not drawn)):
            export_sizes(arguments, pictures, class_names)


if __name__ == "__main__":
    main()
