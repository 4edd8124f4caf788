"""The web page: pictures and answers over HTTP, for this machine unless told otherwise.

Nothing is executed that does not come from `static/`, no request reaches a file that is not a known picture, and other sites
cannot post answers. Whoever binds the page to another address than this machine's gets a random token into the address.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, current_app, jsonify, make_response, redirect, render_template, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import HTTPException

from pipeline.annotate.pictures import render
from pipeline.annotate.results import SIZE_EDGES, summarise
from pipeline.annotate.scribbles import ScribbleSession
from pipeline.annotate.session import Project, Session, check_annotator
from pipeline.datasets.raw_files import DatasetError
from pipeline.targets.annotation_errors import agreement, annotation_errors
from pipeline.targets.annotations import BACKGROUND, GRIDS, fingerprint

TAG_KEYS = "1234567890adfijlnoqvxy"
"""Keys that tag classes, in the order of the classes; letters with other meanings are left out."""
CACHED_PICTURES = 16
STATUS = {ValueError: 400, DatasetError: 422, OSError: 507}
"""What an answer that is wrong, a file that cannot be read, and an answer that is not on disk are told with."""
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


class Given(BaseModel):
    """What every answer holds; the body of a request is read by one of these models and by nothing else."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    annotator: str


class Skipped(Given):
    """A picture that is put off."""

    image: str
    seconds: float


class Tagged(Skipped):
    """The classes that are in a picture."""

    present: list[str]
    grid: str


class Sized(Skipped):
    """The size of one class."""

    name: str = Field(alias="class")
    size: float
    grid: str
    method: str
    unsure: bool = False


Answer = TypeVar("Answer", bound=Given)
Annotating = TypeVar("Annotating", Session, ScribbleSession)


@dataclass
class Served:
    """What the page serves.

    Attributes:
        project: what is annotated, and where answers go.
        token: secret that requests carry, or None.
        sessions: of the annotators seen since the start.
        rendered: pictures as browsers show them, the last used last, by the fingerprint of their file.
    """

    project: Project
    token: str | None
    sessions: dict[str, Session] = field(default_factory=dict)
    rendered: OrderedDict[str, bytes] = field(default_factory=OrderedDict)

    def session(self, annotator: str | None) -> Session:
        """Return the session of an annotator, with all answers of others read."""
        name = check_annotator(annotator)
        self.project.store.refresh()
        return self.sessions.setdefault(name, Session(self.project, name))

    def rendering(self, content: bytes, mark: str, image_id: str) -> bytes:
        """Return a picture as a browser shows it; `mark` is the fingerprint of its content."""
        shown = self.rendered.pop(mark, None) or render(content, image_id)
        self.rendered[mark] = shown
        while len(self.rendered) > CACHED_PICTURES:
            self.rendered.popitem(last=False)
        return shown


page = Blueprint("page", __name__)


def create_app(project: Project, token: str | None = None) -> Flask:
    """Return the application.

    Args:
        project: what is annotated, and where answers go.
        token: secret that the address must carry once (`?token=...`); afterwards a cookie does. None: only requests that
            name this machine as their host are answered, so that no foreign site can reach the page by its own name.
    """
    app = Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=64 * 1024)
    app.extensions["served"] = Served(project, token)
    app.register_blueprint(page)
    if project.strokes is not None:
        from pipeline.annotate.scribble_views import scribble_page  # it needs this module

        app.register_blueprint(scribble_page)
    return app


def served() -> Served:
    """Return what the application of this request serves."""
    found: Served = current_app.extensions["served"]
    return found


def answer(model: type[Answer], session: Callable[[str], Annotating]) -> tuple[Annotating, Answer]:
    """Return the session of the annotator in a request, and its content.

    Raises:
        ValueError: the body is no such answer; names the field.
    """
    given = model.model_validate_json(request.get_data())
    return session(given.annotator), given


# --- who may ask, and how failures are told ---


@page.before_app_request
def guard() -> Any:
    """Refuse requests that were not made by the page, or by somebody without the token."""
    token = served().token
    if token is None:
        host = urlsplit(f"//{request.host}").hostname or ""
        if not is_loopback(host):
            abort(403, "This page answers only under an address of this machine, such as 127.0.0.1.")
    elif "token" in request.args and hmac.compare_digest(request.args["token"].encode(), token.encode()):
        response = redirect(request.path)
        response.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
        return response
    elif not hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
        abort(403, "Open the address that was printed when the tool was started; it ends in ?token=...")
    if request.method == "POST":
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            abort(403, "Answers are taken from this page only.")
        if not request.is_json:
            abort(415, "Answers are JSON objects.")
    return None


@page.after_app_request
def harden(response: Response) -> Response:
    """Forbid what the page does not need."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@page.app_errorhandler(HTTPException)
def refused(error: HTTPException) -> Any:
    """Say why a request was refused."""
    return _failure(error.description or error.name, error.code or 500)


@page.app_errorhandler(ValidationError)
def malformed(error: ValidationError) -> Any:
    """Say which field of an answer is wrong."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return _failure(f"{place}: {first['msg']}" if place else f"the answer is not a JSON object of this page: {first['msg']}", 400)


for kind, status in STATUS.items():
    page.app_errorhandler(kind)(partial(lambda status, error: _failure(str(error), status), status))


# --- pages ---


@page.get("/")
def home() -> str:
    """Show who annotates, and how people agree."""
    project = served().project
    project.store.refresh()
    people = [(name, Session(project, name).progress()) for name in project.store.annotators()]
    drawing: list[tuple[str, dict[str, object]]] = []
    if project.strokes is not None:
        project.strokes.refresh()
        drawing = [(name, ScribbleSession(project, name).progress()) for name in project.strokes.annotators()]
    shown = agreement(project.store.rows)
    return render_template("home.html", people=people, drawing=drawing, agreement=shown, project=project)


@page.get("/annotate")
def annotate() -> str:
    """Show the tool; its script asks for the rest."""
    annotator = check_annotator(request.args.get("annotator"))
    return render_template("annotate.html", annotator=annotator, project=served().project)


@page.get("/results")
def results() -> str:
    """Show the errors of an annotator where masks are known."""
    current, project = served().session(request.args.get("annotator")), served().project
    known = set(project.pictures.ids)
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


@page.get("/picture")
def picture() -> Response:
    """Return a picture; the browser keeps it as long as its file stays the same."""
    image_id = request.args.get("id", "")
    if image_id not in served().project.pictures.ids:
        abort(404, "There is no such picture.")
    content = served().project.pictures.content(image_id)
    mark = fingerprint(content)
    return kept_by_browser(mark, lambda: served().rendering(content, mark, image_id))


def kept_by_browser(mark: str, make: Callable[[], bytes]) -> Response:
    """Return a JPEG that a browser keeps while its file has this fingerprint; for one that has it already none is made."""
    if mark in request.if_none_match:
        response = make_response("", 304)
    else:
        response = make_response(make())
        response.headers["Content-Type"] = "image/jpeg"
    response.headers["Cache-Control"] = "private, no-cache"
    response.set_etag(mark)
    return response


# --- the tool's script ---


@page.get("/api/start")
def start() -> Any:
    """Return what is asked, and the first picture."""
    current, project = served().session(request.args.get("annotator")), served().project
    classes = [
        {"name": name, "key": TAG_KEYS[index] if index < len(TAG_KEYS) else None}
        for index, name in enumerate(project.class_names)
    ]
    grids = {name: list(shape) for name, shape in GRIDS.items()}
    return jsonify(classes=classes, grids=grids, last=project.pictures.ids[-1], **_place(current, current.first()))


@page.get("/api/picture")
def place() -> Any:
    """Return what stands about a picture."""
    return jsonify(_place(served().session(request.args.get("annotator")), request.args.get("image", "")))


@page.post("/api/tags")
def tags() -> Any:
    """Store the classes of a picture."""
    current, given = answer(Tagged, served().session)
    current.tag(given.image, given.present, given.seconds, given.grid)
    return jsonify(_place(current, given.image))


@page.post("/api/size")
def size() -> Any:
    """Store a size, and return the exact one where it may be shown."""
    current, given = answer(Sized, served().session)
    given_with = given.model_dump(include={"seconds", "grid", "method", "unsure"})
    current.size(given.image, given.name, given.size, **given_with)
    exact = current.exact(given.image, given.name)
    error = None if not exact else (given.size - exact) / exact
    return jsonify(exact=exact, error=error, **_place(current, given.image))


@page.post("/api/skip")
def skip() -> Any:
    """Put a picture off."""
    current, given = answer(Skipped, served().session)
    current.skip(given.image, given.seconds)
    return jsonify(_place(current, given.image))


@page.post("/api/undo")
def undo() -> Any:
    """Take the last answer back."""
    current, _ = answer(Given, served().session)
    image_id = current.undo()
    return jsonify(undone=image_id is not None, **_place(current, image_id))


def _place(session: Session, image_id: str | None) -> dict[str, Any]:
    """Return a picture (None: all are done), the one after it, and the progress."""
    picture = None if image_id is None else session.picture(image_id)
    return {"picture": picture, "next": session.after(image_id), "progress": session.progress()}


def _failure(message: str, status: int) -> tuple[Any, int]:
    """Return an error as JSON to the script, as plain text to people."""
    if request.path.startswith("/api/"):
        return jsonify(error=message), status
    return Response(message + "\n", content_type="text/plain; charset=utf-8"), status
