"""The page on which scribbles are drawn, over HTTP. The application of `pipeline.annotate.app` guards its requests."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, abort, jsonify, make_response, render_template, request
from PIL import Image

from pipeline.annotate.pictures import render
from pipeline.annotate.scribbles import ScribbleSession
from pipeline.annotate.session import Project, check_annotator
from pipeline.targets.annotations import BACKGROUND

CLASS_KEYS = "0123456789adijlnoqvwx"
"""Keys of background and classes, in their order; letters with other meanings are left out."""
DETAIL_PX = 6000
"""Longest side of the picture that is loaded once somebody zooms in."""
CACHED_DETAILS = 4


def scribble_views(project: Project) -> Blueprint:
    """Return the views of a project with a file of strokes."""
    views = Blueprint("scribbles", __name__)
    known = set(project.pictures.ids)

    def session() -> ScribbleSession:
        given = request.get_json()["annotator"] if request.method == "POST" else request.args.get("annotator")
        name = check_annotator(given)
        if project.strokes is not None:
            project.strokes.refresh()
        return ScribbleSession(project, name)

    def place(current: ScribbleSession, image_id: str | None) -> dict[str, Any]:
        """Return a picture (None: all are drawn on), the one after it, and the progress."""
        picture = None if image_id is None else current.picture(image_id)
        return {"picture": picture, **around(current, image_id)}

    def around(current: ScribbleSession, image_id: str | None) -> dict[str, Any]:
        version = project.predictions.version if project.predictions is not None else 0
        return {"next": current.after(image_id), "progress": current.progress(), "prediction": version}

    @lru_cache(CACHED_DETAILS)
    def detail(image_id: str) -> bytes:
        return render(project.pictures.content(image_id), image_id, DETAIL_PX)

    @views.get("/scribbles")
    def page() -> str:
        return render_template("scribbles.html", annotator=check_annotator(request.args.get("annotator")), project=project)

    @views.get("/detail")
    def detailed() -> Response:
        image_id = request.args.get("id", "")
        if image_id not in known:
            abort(404, "There is no such picture.")
        response = make_response(detail(image_id))
        response.headers["Content-Type"] = "image/jpeg"
        response.headers["Cache-Control"] = "private, max-age=600"
        return response

    @views.get("/prediction")
    def prediction() -> Response:
        """Return predicted class indices as the grey values of a PNG."""
        image_id = request.args.get("id", "")
        labels = project.predictions.labels(image_id) if project.predictions is not None and image_id in known else None
        if labels is None:
            abort(404, "There is no prediction for this picture yet.")
        buffer = io.BytesIO()
        Image.fromarray(labels).save(buffer, format="PNG")
        response = make_response(buffer.getvalue())
        response.headers["Content-Type"] = "image/png"
        return response

    @views.get("/api/scribbles/start")
    def start() -> Any:
        current = session()
        names = [BACKGROUND, *project.class_names]
        classes = [{"name": name, "key": CLASS_KEYS[index : index + 1] or None} for index, name in enumerate(names)]
        return jsonify(classes=classes, last=project.pictures.ids[-1], **place(current, current.first()))

    @views.get("/api/scribbles/picture")
    def picture() -> Any:
        return jsonify(place(session(), request.args.get("image", "")))

    @views.post("/api/scribbles/<action>")
    def act(action: str) -> Any:
        current, given = session(), request.get_json()
        image_id, seconds = given["image"], given["seconds"]
        if action == "draw":
            changed = current.draw(image_id, given, seconds)
        elif action == "erase":
            changed = current.erase(image_id, given["strokes"], seconds)
        elif action in ("undo", "redo", "skip"):
            changed = getattr(current, action)(image_id, seconds)
        else:
            abort(404)
        return jsonify(changed=changed, **around(current, image_id))

    return views
