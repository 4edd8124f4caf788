"""A network that learns from answers and strokes while people give them: what the page asks for, and who does the work.

The work is done by a process of its own at low priority, in `pipeline.annotate.trainer`, so that the page never waits and a
training that fails costs nothing but itself. Here stands what came back: labels of pictures, and how uncertain they are.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.annotate.pictures import Pictures
from pipeline.annotate.store import AnnotationStore, StrokeStore
from pipeline.targets.annotated_sizes import finished_sizes
from pipeline.targets.annotations import BACKGROUND
from pipeline.targets.rasters import decode_raster
from pipeline.targets.strokes import Stroke, strokes_by_image

STOPPED = "Training was stopped; the prediction is that of before."
NICE = 10
"""How much less important than the page the training process is."""


@dataclass(frozen=True)
class Lesson:
    """What a network is trained on.

    Attributes:
        number: 1 for the first lesson.
        strokes: image id -> strokes of each annotator.
        sizes: image id -> (C,) shares of the picture.
        shown: the picture whose prediction is wanted first, or None.
    """

    number: int
    strokes: dict[str, list[list[Stroke]]]
    sizes: dict[str, np.ndarray]
    shown: str | None = None


@dataclass(frozen=True)
class Told:
    """What the training process says.

    Attributes:
        number: of the last lesson that it has begun.
        text: what became of it.
        state: busy: it is being learnt; looking: it is learnt, and pictures are looked at one by one; idle: nothing is left to
            do; failed: it is not learnt, for the reason in `text`.
        labels: image id -> predicted class indices as a grey PNG.
        uncertainty: image id -> mean entropy of the prediction, 0 to 1, plus its disagreement with sizes, 0 to 1.
    """

    number: int
    text: str
    state: Literal["busy", "looking", "idle", "failed"]
    labels: dict[str, bytes] = field(default_factory=dict)
    uncertainty: dict[str, float] = field(default_factory=dict)


class Live:
    """Trains in the background, and hands out what the network predicts; see `pipeline.annotate.session.Predictions`.

    All methods may be called from several threads, and none waits for the training. With `automatic` it trains by itself,
    whenever a picture is done and nothing is being trained.
    """

    def __init__(
        self,
        pictures: Pictures,
        class_names: Sequence[str],
        store: AnnotationStore,
        strokes: StrokeStore,
        *,
        automatic: bool = False,
    ) -> None:
        self.version = 0
        self._pictures, self._names = pictures, [BACKGROUND, *class_names]
        self._store, self._strokes = store, strokes
        self._automatic = automatic
        self._guard = threading.RLock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._told = Told(0, "", "idle")
        self._folder: Path | None = None
        self._labels: dict[str, bytes] = {}
        self._uncertainty: dict[str, float] = {}
        self._learnt = (0, 0)
        self._stopping = False
        if automatic:
            self._start()

    # --- what the page asks ---

    def labels(self, image_id: str) -> np.ndarray | None:
        """Return (S, S) uint8 class indices of the whole picture, or None if there are none yet."""
        found = self._labels.get(image_id)
        return None if found is None else decode_raster(found)

    def order(self, ids: Sequence[str]) -> list[str]:
        """Return the pictures with the most uncertain first; those that nothing is known of last."""
        return sorted(ids, key=lambda image_id: -self._uncertainty.get(image_id, -1.0))

    def status(self) -> dict[str, str]:
        """Return what the training process is doing."""
        return {"state": self._told.state, "text": self._told.text}

    def train(self, shown: str | None = None) -> None:
        """Begin to train on what stands in the files, unless a training is going on.

        Args:
            shown: the picture whose prediction is wanted first.

        Raises:
            ValueError: nothing is drawn and no size is given, or the files contradict themselves.
        """
        with self._guard:
            if self._told.state == "busy":
                return
            lesson = self._lesson(self._told.number + 1, shown)
            self._stopping = False
            self._told = Told(lesson.number, "Training ...", "busy")
            # In a thread: a long lesson waits in the pipe until the process has loaded all that it needs.
            threading.Thread(target=_send, args=(self._start(), lesson), daemon=True).start()

    def done(self, shown: str | None) -> None:
        """Take note that somebody goes on to another picture, `shown`; trains by itself if it may and there is something new."""
        if not self._automatic or self._told.state == "busy":
            return
        self._refresh()
        if self._rows() != self._learnt and self._strokes.rows:
            self.train(shown)

    def stop(self) -> None:
        """Stop a training after its current step; predictions stay those of before."""
        with self._guard:
            if self._told.state == "busy" and self._process is not None and self._process.pid is not None:
                self._stopping = True
                os.kill(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        """End the training process, and remove what it kept."""
        with self._guard:
            if self._process is not None and self._folder is not None:
                self._process.kill()
                self._process.join()
                shutil.rmtree(self._folder, ignore_errors=True)

    # --- inside ---

    def _refresh(self) -> None:
        self._store.refresh()
        self._strokes.refresh()

    def _rows(self) -> tuple[int, int]:
        return len(self._store.rows), len(self._strokes.rows)

    def _lesson(self, number: int, shown: str | None) -> Lesson:
        self._refresh()
        self._learnt = self._rows()
        known = set(self._pictures.ids)
        rows = [row for row in self._store.rows if row.image_id in known]
        strokes = {image_id: drawn for image_id, drawn in strokes_by_image(self._strokes.rows).items() if image_id in known}
        sizes = finished_sizes(rows, self._names, self._pictures.ids)
        if not strokes and not sizes:
            raise ValueError("Nothing is drawn yet. Draw a stroke on every object, and one on the background, then train.")
        return Lesson(number, strokes, sizes, shown)

    def _start(self) -> Connection:
        """Return the pipe to the training process, which is started if it is not there."""
        if self._process is None or self._pipe is None or not self._process.is_alive():
            self.close()
            atexit.register(self.close)
            spawn = multiprocessing.get_context("spawn")
            self._pipe, theirs = spawn.Pipe()
            self._folder = Path(tempfile.mkdtemp(prefix="annotate-"))
            arguments = (work, theirs, self._pictures, self._names, self._folder)
            self._process = spawn.Process(target=_interruptible, args=arguments, daemon=True)
            self._process.start()
            theirs.close()
            threading.Thread(target=self._listen, args=(self._pipe, self._process), daemon=True).start()
        return self._pipe

    def _listen(self, pipe: Connection, process: SpawnProcess) -> None:
        while True:
            try:
                told: Told = pipe.recv()
            except (EOFError, OSError):
                process.join()
                with self._guard:
                    if process is self._process and self._told.state == "busy":
                        text = f"Training failed: its process ended with status {process.exitcode}."
                        number = self._told.number
                        self._told = Told(number, STOPPED, "idle") if self._stopping else Told(number, text, "failed")
                return
            with self._guard:
                self._labels.update(told.labels)
                self._uncertainty.update(told.uncertainty)
                self.version += bool(told.labels)
                if told.number == self._told.number:  # not of pictures looked at before the newest lesson was begun
                    self._told = told


def _send(pipe: Connection, lesson: Lesson) -> None:
    with suppress(OSError):  # the process is gone, which whoever listens to it says
        pipe.send(lesson)


def _interruptible(do: Callable[..., None], *arguments: object) -> None:
    """Do it in a process that can be stopped: of a tool that a shell runs in the background it would ignore the signal."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    do(*arguments)


def work(pipe: Connection, pictures: Pictures, class_names: Sequence[str], folder: Path) -> None:
    """Be the training process; see `pipeline.annotate.trainer.serve`."""
    os.setsid()  # Ctrl-C at the terminal is for the page; this process ends with it
    os.nice(NICE)
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        from tqdm import tqdm

        from pipeline.annotate.trainer import serve  # loads torch, which the page does without

        tqdm.set_lock(threading.RLock())  # its own is shared between processes, and would count as lost when this one is ended
        serve(pipe, pictures, class_names, folder)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):  # the page is gone, or a training was stopped before it began
        shutil.rmtree(folder, ignore_errors=True)
