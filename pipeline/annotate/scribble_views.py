"""The page on which scribbles are drawn, over HTTP. The application of `pipeline.annotate.app` guards its requests."""

from __future__ import annotations

import io
from typing import Any, Literal

from flask import Blueprint, Response, abort, jsonify, make_response, render_template, request
from PIL import Image

from pipeline.annotate.app import Given, Skipped, answer, kept_by_browser, served
from pipeline.annotate.pictures import render
from pipeline.annotate.scribbles import ScribbleSession
from pipeline.annotate.session import check_annotator
from pipeline.targets.annotations import BACKGROUND, fingerprint
from pipeline.targets.strokes import Erased, Stroke

CLASS_KEYS = "0123456789adijlnoqvwx"
"""Keys of background and classes, in their order; letters with other meanings are left out."""
DETAIL_PX = 6000
"""Longest side of the picture that is loaded once somebody zooms in."""


class Drawn(Skipped):
    """A stroke that was drawn."""

    stroke: Stroke


class Rubbed(Skipped):
    """Strokes that were erased."""

    strokes: Erased


class Wanted(Given):
    """A picture whose prediction is wanted."""

    image: str


class Turned(Skipped):
    """An action that needs nothing more than its name."""

    do: Literal["undo", "redo", "skip"]


scribble_page = Blueprint("scribbles", __name__)


def session(annotator: str | None) -> ScribbleSession:
    """Return an annotator's session, with all strokes of others read."""
    name, project = check_annotator(annotator), served().project
    if project.strokes is not None:
        project.strokes.refresh()
    return ScribbleSession(project, name)


@scribble_page.get("/scribbles")
def draw() -> str:
    """Show the tool; its script asks for the rest."""
    annotator = check_annotator(request.args.get("annotator"))
    return render_template("scribbles.html", annotator=annotator, project=served().project)


@scribble_page.get("/detail")
def detail() -> Response:
    """Return a picture at its full resolution; the browser keeps it as long as its file stays the same."""
    image_id, pictures = request.args.get("id", ""), served().project.pictures
    if image_id not in pictures.ids:
        abort(404, "There is no such picture.")
    content = pictures.content(image_id)
    return kept_by_browser(fingerprint(content), lambda: render(content, image_id, DETAIL_PX))


@scribble_page.get("/prediction")
def prediction() -> Response:
    """Return predicted class indices as the grey values of a PNG."""
    image_id, project = request.args.get("id", ""), served().project
    known = image_id in project.pictures.ids
    labels = project.predictions.labels(image_id) if project.predictions is not None and known else None
    if labels is None:
        abort(404, "There is no prediction for this picture yet.")
    buffer = io.BytesIO()
    Image.fromarray(labels).save(buffer, format="PNG")
    response = make_response(buffer.getvalue())
    response.headers["Content-Type"] = "image/png"
    return response


# --- the tool's script ---


@scribble_page.get("/api/scribbles/start")
def start() -> Any:
    """Return what can be drawn, and the first picture."""
    current, project = session(request.args.get("annotator")), served().project
    names = [BACKGROUND, *project.class_names]
    classes = [{"name": name, "key": CLASS_KEYS[index : index + 1] or None} for index, name in enumerate(names)]
    return jsonify(classes=classes, last=project.pictures.ids[-1], **_place(current, current.first()))


@scribble_page.get("/api/scribbles/picture")
def picture() -> Any:
    """Return what stands about a picture."""
    current, image_id = session(request.args.get("annotator")), request.args.get("image", "")
    if current.project.predictions is not None:
        current.project.predictions.done(image_id)
    return jsonify(_place(current, image_id))


@scribble_page.post("/api/scribbles/draw")
def store_stroke() -> Any:
    """Store a stroke."""
    current, given = answer(Drawn, session)
    return _changed(current, given.image, current.draw(given.image, given.stroke, given.seconds))


@scribble_page.post("/api/scribbles/erase")
def erase() -> Any:
    """Take strokes away."""
    current, given = answer(Rubbed, session)
    return _changed(current, given.image, current.erase(given.image, given.strokes, given.seconds))


@scribble_page.post("/api/scribbles/act")
def act() -> Any:
    """Undo, redo or skip."""
    current, given = answer(Turned, session)
    return _changed(current, given.image, current.act(given.image, given.do, given.seconds))


@scribble_page.post("/api/scribbles/train")
def train() -> Any:
    """Begin to train on all that is given."""
    current, given = answer(Wanted, session)
    current.train(given.image)
    return jsonify(_around(current, given.image))


@scribble_page.post("/api/scribbles/stop")
def stop() -> Any:
    """Stop training."""
    current, given = answer(Wanted, session)
    current.stop_training()
    return jsonify(_around(current, given.image))


@scribble_page.get("/api/scribbles/live")
def live() -> Any:
    """Return what the network is doing."""
    return jsonify(_around(session(request.args.get("annotator")), request.args.get("image")))


def _changed(current: ScribbleSession, image_id: str, changed: dict[str, object]) -> Any:
    return jsonify(changed=changed, **_around(current, image_id))


def _place(current: ScribbleSession, image_id: str | None) -> dict[str, Any]:
    """Return a picture (None: all are drawn on), the one after it, and the progress."""
    return {"picture": None if image_id is None else current.picture(image_id), **_around(current, image_id)}


def _around(current: ScribbleSession, image_id: str | None) -> dict[str, Any]:
    network = current.project.predictions
    version = network.version if network is not None else 0
    live = network.status() if network is not None else None
    return {"next": current.after(image_id), "progress": current.progress(), "prediction": version, "live": live}
