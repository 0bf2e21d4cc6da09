"""Evidence on its way to a reader: shown in the browser where it can run nothing there, saved otherwise."""

import os

from flask import Response, request, send_file

from lti_tool.errors import NotHere
from lti_tool.routes.guards import Visit
from lti_tool.submissions import rules, store
from lti_tool.submissions.models import Evidence

_ALONE = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
# Chromium shows no PDF inside a sandbox; a PDF that nosniff keeps a PDF cannot use our origin anyway.
_PDF = "script-src 'none'; base-uri 'none'; form-action 'none'"


def send_evidence(evidence: Evidence, visit: Visit) -> Response:
    """The bytes of an uploaded piece, or the part that a player asks for. Who may see it was asked before.

    Only our own pages may show it in themselves, and those stand in the frame of the visit's platform.

    :raises NotHere: a link, which has no bytes.
    """
    if evidence.digest is None:
        raise NotHere
    kind = evidence.media_type or "application/octet-stream"
    handle = store.open(evidence.digest)
    size = os.fstat(handle.fileno()).st_size
    response = send_file(
        handle,
        mimetype="text/plain; charset=utf-8" if kind == "text/plain" else kind,
        as_attachment="save" in request.args or not rules.shown_inline(kind),
        download_name=evidence.title,
        conditional=False,
        etag=False,
    )
    response.content_length = size
    response.set_etag(evidence.digest)
    rules_for_kind = _PDF if kind == "application/pdf" else _ALONE
    framers = " ".join(["'self'", *visit.launch.frame_ancestors])
    response.headers["Content-Security-Policy"] = f"{rules_for_kind}; frame-ancestors {framers}"
    # Evidence may be hidden at any moment, so a copy in the browser asks each time whether it still holds.
    response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request, accept_ranges=True, complete_length=size)
    return response
