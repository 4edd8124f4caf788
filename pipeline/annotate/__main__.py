"""Open the annotation page: `python -m pipeline.annotate --images DIR --classes cat,dog,bird --out annotations.csv`.

Pictures come from a folder or, with `--dataset`, from a prepared data set of params.yaml. Sizes are appended to the CSV at
once, scribbles (`--task scribbles` or `both`) to annotations.strokes.jsonl beside it; the same command continues where it
stopped.
"""

from __future__ import annotations

import argparse
import re
import secrets
import socket
import threading
import unicodedata
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from pipeline import paths
from pipeline.annotate.live import Live
from pipeline.annotate.pictures import ArchivePictures, FolderPictures, Pictures
from pipeline.annotate.session import Project
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.command import command_parser
from pipeline.conventions import VOID
from pipeline.datasets.prepared import PreparedArchive
from pipeline.datasets.raw_files import DatasetError, check_class_names
from pipeline.errors import clear_errors
from pipeline.files import check_place
from pipeline.targets.annotations import BACKGROUND

PORT = 8765
MOST_PORTS = 65535
TASKS = ("sizes", "scribbles", "both")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = command_parser(__doc__, "pipeline.annotate --images photos --classes cat,dog --task both --out annotations.csv")
    add_source_arguments(parser)
    parser.add_argument("--task", choices=TASKS, default="sizes", help="what is annotated (default: sizes)")
    parser.add_argument(
        "--live", action="store_true", help="train while people draw, from the start and after each picture, not at a press alone"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="CSV", help="annotation file; made, or continued")
    parser.add_argument("--no-feedback", action="store_true", help="keep exact sizes for the page of results, also where known")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind; other than this machine's needs the printed token")
    parser.add_argument("--port", type=_port, default=PORT, help=f"0 for any free one (default: {PORT})")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > MOST_PORTS:
        raise argparse.ArgumentTypeError(f"expected 0 to {MOST_PORTS}, got {text!r}")
    return int(text)


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what says which pictures, classes and masks are meant; `open_pictures` reads it."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", type=Path, metavar="DIR", help="folder of pictures in any format that Pillow reads")
    source.add_argument("--dataset", metavar="NAME", help="data set of params.yaml whose archive `dvc repro` has prepared")
    parser.add_argument("--split", default="train", help="of the data set (default: train)")
    parser.add_argument("--classes", metavar="A,B,...", help="foreground classes; with --dataset the default is all of them")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="folder of masks <id>.png, for training with feedback")
    parser.add_argument(
        "--mask-values",
        metavar="A=1,B=2 or KIND",
        help="pixel values of the classes, or a kind of data set whose values they have",
    )


def open_pictures(arguments: argparse.Namespace) -> tuple[Pictures, list[str]]:
    """Return the pictures that the command line names, and the foreground classes.

    Raises:
        ValueError: arguments that do not fit together, or a folder without pictures.
        DatasetError: no prepared archive, or an unknown class.
    """
    classes = [_name(word) for word in arguments.classes.split(",")] if arguments.classes else None
    if classes is not None:
        try:
            check_class_names([BACKGROUND, *classes])
        except ValueError as error:
            raise ValueError(f"--classes: expected different names without {BACKGROUND}: {error}") from error
        if len(classes) >= VOID:
            raise ValueError(f"--classes: expected fewer than {VOID} names, got {len(classes)}")
    if arguments.dataset:
        if arguments.masks or arguments.mask_values:
            raise ValueError("--masks and --mask-values belong to --images; a data set has its masks")
        from pipeline.params import load_params  # takes half a second to load, and folders do not need it
        from pipeline.stages.common import lookup

        lookup(load_params().datasets, arguments.dataset, "datasets")
        archive = PreparedArchive(paths.prepared(arguments.dataset, arguments.split), classes)
        stored = ArchivePictures(archive)
        return stored, stored.class_names
    if classes is None:
        raise ValueError("--classes: needed with --images, for example --classes cat,dog,bird")
    values = parse_mask_values(arguments.mask_values, classes) if arguments.mask_values else None
    found = FolderPictures(arguments.images, classes, arguments.masks, values)
    found.check_masks()
    return found, classes


def parse_mask_values(text: str, class_names: Sequence[str]) -> dict[str, int]:
    """Return class name -> pixel value, of `cat=8,dog=12` or of a kind of data set.

    Raises:
        ValueError: no number, or a class without value.
    """
    if "=" in text:
        pairs = [part.partition("=") for part in text.split(",")]
        if len({_name(name) for name, _, _ in pairs}) < len(pairs):
            raise ValueError(f"--mask-values: expected each class once, got {text!r}")
        values = {_name(name): int(value) if re.fullmatch("[0-9]{1,3}", value.strip()) else -1 for name, _, value in pairs}
        if unknown := [name for name in values if name not in class_names]:
            raise ValueError(f"--mask-values: {unknown[0]!r} is not among --classes {','.join(class_names)}")
    else:
        from pipeline.datasets.registry import DATASETS

        if text not in DATASETS:
            raise ValueError(f"--mask-values: expected A=1,B=2,... or one of {', '.join(DATASETS)}, got {text!r}")
        values = {name: index for index, name in enumerate(DATASETS[text].class_names)}
    for name in class_names:
        if not 0 <= values.get(name, -1) <= VOID:
            raise ValueError(f"--mask-values: {name!r} needs a value between 0 and {VOID}, got {text!r}")
    if len({values[name] for name in class_names}) < len(class_names):
        raise ValueError(f"--mask-values: expected a value of its own for each class, got {text!r}")
    return {name: values[name] for name in class_names}


def strokes_file(annotations: Path) -> Path:
    """Return where the scribbles lie that belong to a file of sizes.

    >>> str(strokes_file(Path("annotations.csv")))
    'annotations.strokes.jsonl'
    """
    return annotations.with_suffix(".strokes.jsonl")


def _name(word: str) -> str:
    return unicodedata.normalize("NFC", word.strip())


def check_file(store: AnnotationStore | StrokeStore, class_names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """Return what a person should know about an existing file: lines set aside, pictures that are not there any more.

    Raises:
        ValueError: the file holds a class that is not among `class_names`.
    """
    notes = [f"set aside in {store.aside}: {line}" for line in store.damaged]
    foreign = {row.class_name for row in store.rows} - {*class_names, BACKGROUND, ""}
    if foreign:
        raise ValueError(
            f"{store.path}: holds annotations of {', '.join(sorted(foreign))}, which --classes does not name; "
            "name all classes of the file, or give another --out"
        )
    gone = sorted({row.image_id for row in store.rows} - set(ids))
    if gone:
        notes.append(f"{len(gone)} annotated pictures are not among these pictures, the first is {gone[0]}: moved or renamed?")
    return notes


def main() -> None:
    """Run the tool until Ctrl-C."""
    arguments = parse_arguments()
    with clear_errors(DatasetError):
        pictures, class_names = open_pictures(arguments)
        store = AnnotationStore(arguments.out)
        strokes = None if arguments.task == "sizes" else StrokeStore(strokes_file(arguments.out))
        left_out = pictures.left_out if isinstance(pictures, FolderPictures) else {}
        for reason, names in left_out.items():
            print(f"note: left out: {len(names)} {reason}, the first is {names[0]!a}", flush=True)
        logs: list[AnnotationStore | StrokeStore] = [store] if strokes is None else [store, strokes]
        for log in logs:
            check_place(log.path)  # before anybody answers
            for note in check_file(log, class_names, pictures.ids):
                print(f"note: {note}", flush=True)
        if arguments.live and strokes is None:
            raise ValueError("--live: predictions are shown to those who draw; start the tool with --task scribbles or both")
        asks_sizes = arguments.task != "scribbles"
        network = None if strokes is None else Live(pictures, class_names, store, strokes, automatic=arguments.live)
        project = Project(pictures, store, class_names, not arguments.no_feedback, strokes, asks_sizes, network)
        serve(project, arguments)


def serve(project: Project, arguments: argparse.Namespace) -> None:
    """Serve a project as the command line asks."""
    import logging

    from werkzeug.serving import make_server

    from pipeline.annotate.app import create_app, is_loopback

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    token = None if is_loopback(arguments.host) else secrets.token_urlsafe(24)
    port = arguments.port
    try:
        socket.getaddrinfo(arguments.host, port)
    except OSError as error:
        raise ValueError(f"--host: {arguments.host!r} is no address of this machine ({error.strerror})") from error
    if port and not _is_free(arguments.host, port):
        print(f"note: port {port} is taken, another one is used", flush=True)
        port = 0
    server = make_server(arguments.host, port, create_app(project, token), threaded=True)
    name = socket.gethostname() if arguments.host in ("0.0.0.0", "::") else arguments.host
    name = f"[{name}]" if ":" in name else name
    address = f"http://{name}:{server.server_port}/" + (f"?token={token}" if token else "")
    print(f"{len(project.pictures.ids)} pictures; open {address} (Ctrl-C ends)", flush=True)
    if not arguments.no_browser:
        threading.Timer(0.3, webbrowser.open, [address]).start()
    server.serve_forever()  # returns at Ctrl-C, which it catches itself
    files = [project.store.path] if project.asks_sizes else []
    files += [project.strokes.path] if project.strokes is not None else []
    print(f"\nall answers are in {' and '.join(map(str, files))}", flush=True)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
