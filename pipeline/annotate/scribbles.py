"""What one annotator who draws does, independent of the web: queue, strokes, eraser, undo and redo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pipeline.annotate.session import Predictions, Project, Queue
from pipeline.datasets.pictures import upright_size
from pipeline.datasets.raw_files import DatasetError
from pipeline.targets.annotations import BACKGROUND, fingerprint
from pipeline.targets.strokes import Action, Draw, Drawing, Erase, Stroke, Turn


class ScribbleSession(Queue[Drawing]):
    """One annotator who draws. What can be undone stands in the file, so a session holds nothing and may be made anew."""

    def __init__(self, project: Project, annotator: str) -> None:
        if project.strokes is None:
            raise ValueError("no scribbles are drawn here; start the tool with --task scribbles")
        network = project.predictions
        ids = network.order(project.pictures.ids) if network is not None and network.version else None
        super().__init__(project, annotator, project.strokes, ids)
        self._strokes = project.strokes

    def picture(self, image_id: str) -> dict[str, object]:
        """Return what the page needs about one picture, erased strokes included; `problem` says why it cannot be shown.

        Raises:
            ValueError: unknown picture.
        """
        self._index(image_id)
        size, problem = None, None
        try:
            size = upright_size(self.project.pictures.content(image_id), image_id)
        except DatasetError as error:
            problem = str(error)
        ids = self.project.pictures.ids
        index = ids.index(image_id)
        drawing = self._strokes.answer(self.annotator, image_id)
        return {
            "image": image_id,
            "position": index + 1,
            "previous": ids[index - 1] if index else None,
            "following": ids[index + 1] if index + 1 < len(ids) else None,
            "size": size,
            "problem": problem,
            "strokes": [stroke.model_dump(by_alias=True) for stroke in drawing.drawn],
            **_state(drawing),
        }

    def draw(self, image_id: str, stroke: Stroke, seconds: float) -> dict[str, object]:
        """Store a stroke. One that is stored already, because its answer got lost, is not stored twice.

        Returns:
            What stands then, as all that follow: rows of the file, ids of strokes that are hidden, whether undo and redo do
            anything.

        Raises:
            ValueError: unknown picture or class, another size than the picture's, or seconds out of range.
            DatasetError: the picture cannot be read.
            OSError: not saved.
        """
        self._index(image_id)
        names = [BACKGROUND, *self.project.class_names]
        if stroke.class_name not in names:
            raise ValueError(f"class: expected one of {', '.join(names)}, got {stroke.class_name[:80]!r}")
        content = self.project.pictures.content(image_id)
        size = upright_size(content, image_id)
        if stroke.size_px != size:
            raise ValueError(f"size: the picture has {size[0]}x{size[1]} pixels, not {stroke.size_px}; load the page again")
        common = self._common(image_id, seconds)
        with self._strokes.transaction():
            drawing = self._strokes.answer(self.annotator, image_id)
            if not drawing.has(stroke.id):
                row = Draw(stroke=stroke, picture=fingerprint(content), timestamp=self._strokes.timestamp(), **common)
                self._strokes.append([row])
            return _state(self._strokes.answer(self.annotator, image_id))

    def erase(self, image_id: str, strokes: tuple[str, ...], seconds: float) -> dict[str, object]:
        """Take strokes away, in one step; those that are gone already stay gone."""
        return self._append(Erase, image_id, seconds, strokes=strokes)

    def act(self, image_id: str, do: Literal["undo", "redo", "skip"], seconds: float) -> dict[str, object]:
        """Take back the last thing done on a picture, whoever served the page then; do it again; or put the picture off."""
        return self._append(Turn, image_id, seconds, do=do)

    def _append(self, kind: Callable[..., Action], image_id: str, seconds: float, **what: object) -> dict[str, object]:
        common = self._common(image_id, seconds)
        with self._strokes.transaction():
            self._strokes.append([kind(timestamp=self._strokes.timestamp(), **common, **what)])
            return _state(self._strokes.answer(self.annotator, image_id))

    def train(self, image_id: str) -> None:
        """Have the network learn all that is given; the prediction of this picture is wanted first.

        Raises:
            ValueError: unknown picture, nothing is given yet, or nothing is trained here.
        """
        self._index(image_id)
        self._network().train(image_id)

    def stop_training(self) -> None:
        """Have the network stop.

        Raises:
            ValueError: nothing is trained here.
        """
        self._network().stop()

    def _network(self) -> Predictions:
        if self.project.predictions is None:
            raise ValueError("nothing is trained here")
        return self.project.predictions

    def _common(self, image_id: str, seconds: float) -> dict[str, Any]:
        self._index(image_id)
        return {"image_id": image_id, "annotator": self.annotator, "seconds": round(self._seconds(seconds), 2)}


def _state(drawing: Drawing) -> dict[str, object]:
    hidden = sorted(drawing.hidden)
    return {"rows": drawing.rows, "hidden": hidden, "undo": drawing.can_undo, "redo": drawing.can_redo}
