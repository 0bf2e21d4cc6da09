"""What badges are checked with, as files for a plain web server: so that they verify after this tool is gone.

The files have the paths that badges name, so they go to the same host. Machines get DID documents, keys and status
lists, people the pages that say what was asked. Nobody's badge is among them.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from flask import current_app, render_template
from sqlalchemy import select

from lti_tool.badges.signing import revoked_places
from lti_tool.credentials.models import StackVersion, Version
from lti_tool.database import db
from lti_tool.issuers import keys, status
from lti_tool.issuers.models import Issuer, StatusList
from lti_tool.settings import current

_KEPT = ("/credentials/", "/stacks/", "/static/", "/bootstrap/")
"""Where the links lead that are followed."""
_LINK = re.compile(r'(?:href|src)="(/[^"#?]*)')
_IN_STYLES = re.compile(r"""url\(["']?([^"')#?]+)""")
_LIVE = re.compile(r'<footer class="colophon">.*?</footer>|<script\b[^>]*></script>', re.DOTALL)
"""What works only while the tool runs."""


def write(folder: Path, *, years: int, now: datetime) -> int:
    """Write everything into ``folder``, over what is there; returns the number of files.

    :param years: how long the status lists stay valid. Nobody can sign newer ones afterwards.
    :raises OSError: the folder cannot be written.
    """
    written = 0
    for path, content in _files(now, now + timedelta(days=365 * years)):
        place = folder / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        written += 1
    return written


def _files(now: datetime, until: datetime) -> Iterator[tuple[str, bytes]]:
    yield "/.well-known/jwks.json", _written(keys.key_set())
    for issuer in db.session.scalars(select(Issuer)):
        yield f"/issuers/{issuer.id}/did.json", _written(keys.did_document(issuer))
    for key in keys.rs256_keys():
        yield urlsplit(key.kid).path, _written(keys.published(key))
    for row in db.session.scalars(select(StatusList)):
        text = status.signed(row, revoked_places, now=now, until=until)
        yield urlsplit(status.address(row.issuer_id, row.number)).path, text.encode()
    versions = db.session.scalars(select(Version).order_by(Version.title, Version.number)).unique().all()
    stacks = db.session.scalars(select(StackVersion).order_by(StackVersion.title, StackVersion.number)).all()
    pages = [f"/credentials/{version.credential.key}/{version.number}" for version in versions]
    pages += [f"/stacks/{version.stack.key}/{version.number}" for version in stacks]
    listed = [
        *zip(
            pages,
            [version.title for version in versions] + [version.title for version in stacks],
            strict=True,
        )
    ]
    # Stack badges of earlier days name the stack without a version.
    yield from _site(pages + sorted({f"/stacks/{version.stack.key}" for version in stacks}))
    with current_app.test_request_context(base_url=current().public_url):
        index = render_template("public/static_copy.html", pages=listed, now=now)
    yield "/index.html", _LIVE.sub("", index).encode()
    yield "/README.txt", _README.format(host=urlsplit(current().public_url).netloc, until=until).encode()


def _site(pages: list[str]) -> Iterator[tuple[str, bytes]]:
    """The pages, and what they show and lead to, as far as that is of their kind."""
    client = current_app.test_client()
    waiting, seen = list(pages), set(pages)
    while waiting:
        path = waiting.pop()
        with client.get(path, base_url=current().public_url) as answer:
            there, kind, content = answer.status_code == 200, answer.mimetype, answer.data
        if not there:
            continue
        links: list[str] = []
        if kind == "text/html":
            page = _LIVE.sub("", content.decode())
            links = _LINK.findall(page)
            path, content = f"{path}/index.html", page.encode()
        elif kind == "text/css":
            links = [urljoin(path, link) for link in _IN_STYLES.findall(content.decode())]
        yield path, content
        links = [link for link in links if link.startswith(_KEPT)]
        waiting += [link for link in dict.fromkeys(links) if link not in seen]
        seen.update(links)


def _written(document: object) -> bytes:
    return json.dumps(document, indent=2).encode()


_README = """\
What badges of {host} are checked with
======================================

Serve this folder at https://{host}/ with any web server, as it is. A badge names these addresses, so they must
stay at this host; nothing else has to run. Let pages of other sites read the answers, with the header
"Access-Control-Allow-Origin: *".

  /issuers/<n>/did.json      who issued, and the keys of Data Integrity proofs   application/did+json
  /issuers/<n>/keys/<name>   a key of a VC-JWT                                   application/jwk+json
  /.well-known/jwks.json     all of these keys                                   application/jwk-set+json
  /issuers/<n>/status/<m>    which badges were revoked                           application/vc+ld+json
  /credentials, /stacks      what was asked, for people                          text/html

Some of these have no ending in their name, so the server has to be told their type. Where it can, also answer
/issuers/<n> with /issuers/<n>/did.json. The status lists are valid until {until:%d %B %Y}; the private keys that
could sign newer ones are not in this folder.
"""
