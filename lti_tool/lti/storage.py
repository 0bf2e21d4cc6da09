"""Platform storage: the LMS's own page keeps a mark for us where the browser keeps no cookie.

The login page asks it to keep two marks, by ``lti.put_data``; the page that the launch arrives at asks for them
back, by ``lti.get_data``, and posts them to us. Who can show them sits in the browser in which the login began.

The marks are derived from the login's state and nonce by a key of ours and are not these values themselves. Any
page may frame a login, and inside Canvas's editor the request goes to whatever window is around us, so somebody
else may read it: with the state and the nonce they could make a message for this browser, with the marks they
can do nothing.

Specs: https://www.imsglobal.org/spec/lti-pm-s/v0p1 and https://www.imsglobal.org/spec/lti-cs-oidc/v0p1
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from lti_tool import settings
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.models import LoginState, Registration

ASK = ""
"""Instead of a frame: the login names none, so the platform's page is asked whether it keeps data, and where."""
_FRAME = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_BYTES = 15
"""Of a mark: 20 characters. Canvas keeps 4096 characters for a tool, keys and values together."""


@dataclass(frozen=True)
class Offer:
    """What a page needs in order to speak with the storage. The platform answers from ``origin``."""

    target: str
    """Name of the frame that keeps data for tools, or ``_parent``; the platform's page may name another, and where this
    is ``ASK`` it alone can."""
    origin: str
    marks: Mapping[str, str]
    """Key and value of each."""


def target_of(params: Mapping[str, str]) -> str | None:
    """The frame that a login or a launch offers for storage; None where it offers none that could be a frame."""
    name = params.get("lti_storage_target", "")
    return name if _FRAME.fullmatch(name) else None


def offer_for(login: LoginState, registration: Registration) -> Offer | None:
    """How to keep or to fetch the marks of a login; None where the platform keeps nothing for us."""
    origin = origin_of(registration.auth_url)
    if login.storage_target is None or origin is None:
        return None
    return Offer(login.storage_target, origin, _marks(login))


def proves(login: LoginState, shown: Mapping[str, str]) -> bool:
    """Whether these are the marks of that login, all of them."""
    return all(
        hmac.compare_digest(shown.get(key, "").encode(), value.encode())
        for key, value in _marks(login).items()
    )


def _marks(login: LoginState) -> dict[str, str]:
    return {
        f"{name}_{_mark('key', name, value)}": _mark("value", name, value)
        for name, value in (("state", login.state), ("nonce", login.nonce))
    }


def _mark(*parts: str) -> str:
    key = settings.current().passphrase("platform storage")
    digest = hmac.new(key, " ".join(parts).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:_BYTES]).decode()
