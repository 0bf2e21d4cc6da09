"""Comparing web addresses that came from a platform. A prefix test would let ``https://us.example.evil``
pass."""

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

LAUNCH_PATH = "/lti/launch"
"""The redirect_uri of every login, and the path of every activity that we put into a course."""

NOTICES_PATH = "/lti/notices"
"""Where platforms post notices. On the same host as everything else, which they check."""

TARGETS = frozenset({"", "/", LAUNCH_PATH})
"""Where a platform may say that it wants to go. Administrators often register the bare address of the
tool."""

_SUBMISSION = re.compile(re.escape(LAUNCH_PATH) + r"/activities/(\d{1,9})/submissions/(\d{1,9})", re.ASCII)

_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")
"""What may stand in a header of ours: neither a space nor a semicolon can slip into a policy."""

_PORTS = {"http": 80, "https": 443}


def origin_of(url: str | None) -> str | None:
    """Scheme, host and port of an http(s) address, written one way; None for anything else."""
    try:
        parts = urlsplit(url or "")
        port = parts.port
    except ValueError:
        return None
    name = parts.hostname or ""
    if parts.scheme not in _PORTS or not _HOST.fullmatch(name) or "@" in parts.netloc:
        return None
    host = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS[parts.scheme]) else f":{port}")


def may_carry_token(url: str, registered: Iterable[str]) -> bool:
    """Whether our server may call, with the platform's token, an address that only a launch named.

    Where the operator registered the origin, yes. Else it must be https and no inner address: a platform must not
    make us knock at our own network for it, and show it what answers.
    """
    origin = origin_of(url)
    if origin is None:
        return False
    if origin in {origin_of(known) for known in registered}:
        return True
    host = urlsplit(url).hostname or ""
    try:
        outside = ipaddress.ip_address(host).is_global
    except ValueError:
        name, _, top = host.rstrip(".").rpartition(".")
        outside = name != "" and not top.isdecimal() and top not in ("localhost", "local", "internal")
    return origin.startswith("https:") and outside


def stands_at(name: str, addresses: Iterable[str]) -> bool:
    """Whether a name, written as an address or as a bare host, is at the origin of one of these addresses."""
    origins = {origin for address in addresses if (origin := origin_of(address))}
    written = [name] if "://" in name else [f"{scheme}://{name}" for scheme in _PORTS]
    return name.isprintable() and any(origin_of(one) in origins for one in written)


def is_ours(url: str, public_url: str) -> bool:
    """Whether an address is one of our launch targets: our origin and a path that we answer."""
    origin = origin_of(url)
    if origin is None or origin != origin_of(public_url):
        return False
    return urlsplit(url).path in TARGETS or submission_named_by(url) is not None


def submission_address(public_url: str, placement_id: int, submission_id: int) -> str:
    """Where an assessor's launch opens this very submission.

    Both ids stand in the path and are digits: Canvas has been seen to encode the query of such an address twice, and
    to send the id of another link with the launch.
    """
    return f"{public_url}{LAUNCH_PATH}/activities/{placement_id}/submissions/{submission_id}"


def submission_named_by(url: str) -> tuple[int, int] | None:
    """The ids of the activity and the submission in such an address; None for any other."""
    found = _SUBMISSION.fullmatch(urlsplit(url).path)
    return None if found is None else (int(found[1]), int(found[2]))
