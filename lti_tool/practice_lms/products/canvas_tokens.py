"""Canvas's token endpoint: strict about the assertion, all or nothing about scopes."""

import uuid
from collections.abc import Mapping
from typing import Any

import jwt
import requests
from flask import Response

from lti_tool.practice_lms.platform import Behaviour
from lti_tool.practice_lms.services import reply

JSON = "application/json; charset=utf-8"


class _TokenRefused(Exception):
    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        if not error:
            # What cannot be parsed at all is not expected there, and ends in a server error.
            self.answer = reply(500, "<!DOCTYPE html><title>Page Error</title>", "text/html; charset=utf-8")
            return
        unknown = error == "invalid_client"
        headers = {"WWW-Authenticate": "Canvas OAuth 2.0"} if unknown else {}
        told = {"error": error, "error_description": description}
        self.answer = reply(401 if unknown else 400, told, JSON, headers)


class CanvasTokens(Behaviour):
    """The part of Canvas that hands out tokens."""

    def token(self, form: Mapping[str, str]) -> Response:
        try:
            scopes = self._granted(form)
        except _TokenRefused as refused:
            return refused.answer
        lms, now = self.lms, int(self.lms.now().timestamp())
        token = lms.sign(
            {
                "iss": lms.url,
                "sub": lms.config.client_id,
                "aud": f"{lms.service_url}/token",
                "iat": now,
                "exp": now + 3600,
                "jti": str(uuid.uuid4()),
                "scopes": scopes,
            }
        )
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": scopes}
        return reply(200, answer, JSON, {"Cache-Control": "no-store"})

    def _granted(self, form: Mapping[str, str]) -> str:
        """Check a token request, in Canvas's order; return the scopes as asked for."""
        if form.get("grant_type") != "client_credentials":
            text = "The grant_type you requested is not currently supported by Canvas"
            raise _TokenRefused("unsupported_grant_type", text)
        assertion = form.get("client_assertion", "")
        try:
            unverified = jwt.decode(assertion, options={"verify_signature": False})
        except jwt.PyJWTError:
            raise _TokenRefused("", "") from None
        if str(unverified.get("sub")) != self.lms.config.client_id:
            raise _TokenRefused("invalid_client", "unknown client")
        try:
            claims = self.lms.tool_claims(assertion)
        except requests.RequestException:
            raise _TokenRefused("invalid_request", "JWK Error: Invalid JSON") from None
        except jwt.InvalidKeyError:
            raise _TokenRefused("invalid_request", "JWK Error: kid not found") from None
        except jwt.PyJWTError:
            raise _TokenRefused("invalid_request", "JWS signature invalid.") from None
        if wrong := self._assertion_problems(claims):
            raise _TokenRefused("invalid_request", " | ".join(wrong))
        scopes = form.get("scope", form.get("scopes", "")).split()
        if unknown := [scope for scope in scopes if scope not in self.scopes]:
            text = (
                "A requested scope is invalid, unknown, malformed, or exceeds the scope granted by the"
                " resource owner. The following scopes were requested, but not granted: "
            )
            raise _TokenRefused("invalid_scope", text + ", ".join(unknown))
        return " ".join(scopes)

    def _assertion_problems(self, claims: Mapping[str, Any]) -> list[str]:
        needed = ("iss", "sub", "aud", "exp", "iat", "jti")
        if missing := [name for name in needed if not claims.get(name)]:
            return [f"the following assertions are missing: {','.join(missing)}"]
        now = self.lms.now().timestamp()
        aud, exp, iat = claims["aud"], claims["exp"], claims["iat"]
        problems = []
        # Exactly the address called; neither the issuer nor another name of the same server will do.
        if f"{self.lms.service_url}/token" not in (aud if isinstance(aud, list) else [aud]):
            problems.append("the 'aud' is invalid")
        if not isinstance(exp, int | float):
            problems.append("the 'exp' must be a number")
        elif exp <= now:
            problems.append("the JWT has expired")
        if not isinstance(iat, int | float):
            problems.append("the 'iat' must be a number")
        elif iat < now - 300:
            problems.append("the 'iat' must be less than 300 seconds old")
        elif iat > now + 30:
            problems.append("the 'iat' must not be in the future")
        return problems
