"""The web page: pictures and answers over HTTP, for this machine unless told otherwise.

Nothing is executed that does not come from `static/`, no request reaches a file that is not a known picture, and other sites
cannot post answers. Whoever binds the page to another address than this machine's gets a random token into the address.
"""

from __future__ import annotations

import hmac
import ipaddress
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, jsonify, make_response, redirect, render_template, request
from werkzeug.exceptions import HTTPException

from pipeline.annotate.pictures import render
from pipeline.annotate.results import SIZE_EDGES, summarise
from pipeline.annotate.scribble_views import scribble_views
from pipeline.annotate.scribbles import ScribbleSession
from pipeline.annotate.session import Project, Session, check_annotator
from pipeline.datasets.base import DatasetError
from pipeline.targets.annotations import BACKGROUND, GRIDS, agreement, annotation_errors

TAG_KEYS = "1234567890adfijlnoqvxy"
"""Keys that tag classes, in the order of the classes; letters with other meanings are left out."""
CACHED_PICTURES = 16
COOKIE = "annotate_token"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine only.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, False, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def create_app(project: Project, token: str | None = None) -> Flask:
    """Return the application.

    Args:
        project: what is annotated, and where answers go.
        token: secret that the address must carry once (`?token=...`); afterwards a cookie does. None: only requests that
            name this machine as their host are answered, so that no foreign site can reach the page by its own name.
    """
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=64 * 1024)
    sessions: dict[str, Session] = {}

    def session() -> Session:
        """Return the session of the annotator whom the request names."""
        given = request.get_json()["annotator"] if request.method == "POST" else request.args.get("annotator")
        name = check_annotator(given)
        project.store.refresh()
        return sessions.setdefault(name, Session(project, name))

    @lru_cache(CACHED_PICTURES)
    def rendered(image_id: str) -> bytes:
        return render(project.pictures.content(image_id), image_id)

    known = set(project.pictures.ids)

    @app.before_request
    def guard() -> Any:
        if token is None:
            host = urlsplit(f"//{request.host}").hostname or ""
            if not is_loopback(host):
                abort(403, "This page answers only under an address of this machine, such as 127.0.0.1.")
        elif "token" in request.args and hmac.compare_digest(request.args["token"].encode(), token.encode()):
            answer = redirect(request.path)
            answer.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            return answer
        elif not hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
            abort(403, "Open the address that was printed when the tool was started; it ends in ?token=...")
        if request.method == "POST":
            origin = request.headers.get("Origin")
            if origin is not None and urlsplit(origin).netloc != request.host:
                abort(403, "Answers are taken from this page only.")
            if not request.is_json or not isinstance(request.get_json(), dict):
                abort(415, "Answers are JSON objects.")
        return None

    @app.after_request
    def harden(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        return _failure(error.description or error.name, error.code or 500)

    @app.errorhandler(ValueError)
    def invalid(error: ValueError) -> Any:
        return _failure(str(error), 400)

    @app.errorhandler(KeyError)
    def incomplete(error: KeyError) -> Any:
        return _failure(f"the answer lacks {error}", 400)

    @app.errorhandler(DatasetError)
    def unreadable(error: DatasetError) -> Any:
        return _failure(str(error), 422)

    @app.errorhandler(OSError)
    def not_saved(error: OSError) -> Any:
        return _failure(str(error), 507)

    @app.get("/")
    def home() -> str:
        project.store.refresh()
        people = [(name, Session(project, name).progress()) for name in project.store.annotators()]
        drawing: list[tuple[str, dict[str, object]]] = []
        if project.strokes is not None:
            project.strokes.refresh()
            drawing = [(name, ScribbleSession(project, name).progress()) for name in project.strokes.annotators()]
        shown = agreement(project.store.rows)
        return render_template("home.html", people=people, drawing=drawing, agreement=shown, project=project)

    if project.strokes is not None:
        app.register_blueprint(scribble_views(project))

    @app.get("/annotate")
    def annotate() -> str:
        return render_template("annotate.html", annotator=check_annotator(request.args.get("annotator")), project=project)

    @app.get("/results")
    def results() -> str:
        current = session()
        rows = [row for row in project.store.rows if row.annotator == current.annotator and row.image_id in known]
        names = [BACKGROUND, *project.class_names]
        exact, broken = {}, []
        for image_id in {row.image_id for row in rows}:
            try:
                sizes = project.pictures.exact_sizes(image_id)
            except (DatasetError, ValueError) as error:
                broken.append(str(error))
                continue
            if sizes is not None:
                exact[image_id] = sizes
        summary = summarise(annotation_errors(rows, exact, names), project.class_names)
        return render_template(
            "results.html", annotator=current.annotator, results=summary, broken=broken, masks=len(exact), edges=SIZE_EDGES
        )

    @app.get("/picture")
    def picture() -> Response:
        image_id = request.args.get("id", "")
        if image_id not in known:
            abort(404, "There is no such picture.")
        response = make_response(rendered(image_id))
        response.headers["Content-Type"] = "image/jpeg"
        response.headers["Cache-Control"] = "private, max-age=600"
        return response

    @app.get("/api/start")
    def start() -> Any:
        current = session()
        classes = [
            {"name": name, "key": TAG_KEYS[index] if index < len(TAG_KEYS) else None}
            for index, name in enumerate(project.class_names)
        ]
        grids = {name: list(shape) for name, shape in GRIDS.items()}
        return jsonify(classes=classes, grids=grids, last=project.pictures.ids[-1], **_place(current, current.first()))

    @app.get("/api/picture")
    def place() -> Any:
        return jsonify(_place(session(), request.args.get("image", "")))

    @app.post("/api/tags")
    def tags() -> Any:
        current, given = session(), request.get_json()
        present = given["present"]
        if not isinstance(present, list):
            raise ValueError(f"present: expected a list of classes, got {present!r}")
        current.tag(given["image"], present, given["seconds"], given["grid"])
        return jsonify(_place(current, given["image"]))

    @app.post("/api/size")
    def size() -> Any:
        current, given = session(), request.get_json()
        image_id, name = given["image"], given["class"]
        current.size(
            image_id,
            name,
            given["size"],
            seconds=given["seconds"],
            grid=given["grid"],
            method=given["method"],
            unsure=given.get("unsure") is True,
        )
        exact = current.exact(image_id, name)
        error = None if not exact else (given["size"] - exact) / exact
        return jsonify(exact=exact, error=error, **_place(current, image_id))

    @app.post("/api/skip")
    def skip() -> Any:
        current, given = session(), request.get_json()
        current.skip(given["image"], given["seconds"])
        return jsonify(_place(current, given["image"]))

    @app.post("/api/undo")
    def undo() -> Any:
        current = session()
        image_id = current.undo()
        return jsonify(undone=image_id is not None, **_place(current, image_id))

    return app


def _place(session: Session, image_id: str | None) -> dict[str, Any]:
    """Return a picture (None: all are done), the one after it, and the progress."""
    picture = None if image_id is None else session.picture(image_id)
    return {"picture": picture, "next": session.after(image_id), "progress": session.progress()}


def _failure(message: str, status: int) -> tuple[Any, int]:
    """Return an error as JSON to the script, as plain text to people."""
    if request.path.startswith("/api/"):
        return jsonify(error=message), status
    return Response(message + "\n", content_type="text/plain; charset=utf-8"), status
