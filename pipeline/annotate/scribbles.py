"""What one annotator who draws does, independent of the web: queue, strokes, eraser, undo and redo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.annotate.pictures import upright_size
from pipeline.annotate.session import Project, Queue
from pipeline.datasets.base import DatasetError
from pipeline.targets.annotations import BACKGROUND, fingerprint
from pipeline.targets.strokes import Action, Drawing, Stroke, check_erased


class ScribbleSession(Queue[Drawing]):
    """One annotator who draws. What can be undone stands in the file, so a session holds nothing and may be made anew each time.

    Args:
        project: what is annotated; it must have a file of strokes.
        annotator: a name that passed `check_annotator`.
    """

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
        with self._strokes.guard:
            drawing = self._strokes.answer(self.annotator, image_id)
            strokes = [stroke.json() for stroke in drawing.drawn]
            return {
                "image": image_id,
                "position": index + 1,
                "previous": ids[index - 1] if index else None,
                "following": ids[index + 1] if index + 1 < len(ids) else None,
                "size": size,
                "problem": problem,
                "strokes": strokes,
                **_state(drawing),
            }

    def draw(self, image_id: str, given: Mapping[str, Any], seconds: float) -> dict[str, object]:
        """Store a stroke, given in its JSON form. One that is stored already, because its answer got lost, is not stored twice.

        Returns:
            What stands then, as all that follow: rows of the file, ids of strokes that are hidden, whether undo and redo do
            anything.

        Raises:
            ValueError: unknown picture or class, or a value out of range.
            KeyError: a key is missing.
            DatasetError: the picture cannot be read.
            OSError: not saved.
        """
        self._index(image_id)
        stroke = Stroke.of(given)
        names = [BACKGROUND, *self.project.class_names]
        if stroke.class_name not in names:
            raise ValueError(f"class: expected one of {', '.join(names)}, got {stroke.class_name[:80]!r}")
        content = self.project.pictures.content(image_id)
        size = upright_size(content, image_id)
        if stroke.size_px != size:
            raise ValueError(f"size: the picture has {size[0]}x{size[1]} pixels, not {stroke.size_px}; load the page again")
        row = self._row(image_id, "draw", seconds, fingerprint(content), stroke=stroke)
        return self._append(row, unless_drawn=stroke.id)

    def erase(self, image_id: str, strokes: Sequence[str], seconds: float) -> dict[str, object]:
        """Take strokes away, in one step; those that are gone already stay gone."""
        self._index(image_id)
        return self._append(self._row(image_id, "erase", seconds, erased=check_erased(strokes)))

    def undo(self, image_id: str, seconds: float) -> dict[str, object]:
        """Take back the last thing done on a picture, whoever served the page then."""
        self._index(image_id)
        return self._append(self._row(image_id, "undo", seconds))

    def redo(self, image_id: str, seconds: float) -> dict[str, object]:
        """Do again what was just taken back."""
        self._index(image_id)
        return self._append(self._row(image_id, "redo", seconds))

    def skip(self, image_id: str, seconds: float) -> dict[str, object]:
        """Put a picture off."""
        self._index(image_id)
        return self._append(self._row(image_id, "skip", seconds))

    def _row(
        self, image_id: str, do: str, seconds: float, mark: str = "", stroke: Stroke | None = None, erased: tuple[str, ...] = ()
    ) -> Action:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Action(image_id, do, self.annotator, round(self._seconds(seconds), 2), now, mark, stroke, erased)

    def _append(self, row: Action, unless_drawn: str | None = None) -> dict[str, object]:
        with self._strokes.guard:
            if unless_drawn is None or not self._strokes.answer(self.annotator, row.image_id).has(unless_drawn):
                self._strokes.append([row])
            return _state(self._strokes.answer(self.annotator, row.image_id))


def _state(drawing: Drawing) -> dict[str, object]:
    hidden = sorted(drawing.hidden)
    return {"rows": drawing.rows, "hidden": hidden, "undo": drawing.can_undo, "redo": drawing.can_redo}
