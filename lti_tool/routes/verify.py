"""Checking a badge that somebody was given. Nothing of the file is kept."""

import threading

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from lti_tool import clock
from lti_tool.badges import queries, verification
from lti_tool.routes.guards import Who, allow

blueprint = Blueprint("verify", __name__)
MAX_FILE = 10_000_000
"""Bytes. A picture of a badge is well below; verification says "too large" in its own words before that."""
BUSY = "Several badges are being checked just now. Please choose the file again in a moment."
_places = threading.BoundedSemaphore(2)
"""Anybody may have files checked that take a second each; the other threads go on serving courses."""


@blueprint.get("/verify")
@allow(Who.ANYONE)
def page() -> ResponseReturnValue:
    """Where to put the file."""
    return render_template("verify/page.html", verdict=None, error=None, name="")


@blueprint.post("/verify")
@allow(Who.ANYONE)
def check() -> ResponseReturnValue:
    """The verdict on the very bytes that were uploaded."""
    upload = request.files.get("badge")
    if upload is None or not upload.filename:
        return render_template("verify/page.html", verdict=None, error="Choose a file first.", name=""), 422
    content = upload.stream.read(MAX_FILE + 1)
    if not _places.acquire(blocking=False):
        return render_template("verify/page.html", verdict=None, error=BUSY, name=""), 503
    try:
        verdict = verification.verify(content, keys=queries.key_of, now=clock.now())
    finally:
        _places.release()
    return render_template("verify/page.html", verdict=verdict, error=None, name=upload.filename)
