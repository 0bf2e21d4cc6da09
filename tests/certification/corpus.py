"""Launches and logins that are wrong in one way each, made from what Moodle sent and what Canvas is known to send.

Every changed message is signed again with the registered key, so that the signature check never hides the check
that is tested; those that are wrong in their signature say so in their name. Each case names the refusal that it must
meet, with the very claim or sentence, so that no check hides behind another.
"""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from lti_tool import errors
from tests.lti.conftest import recorded
from tests.lti.platform_double import CLIENT_ID, DEEP_LINKING, ISSUER, LTI, PUBLIC_URL, Key, fresh, sign

Claims = dict[str, Any]
MINUTE = 60
CANVAS_AGE = 5 * MINUTE
"""Canvas dates a message when the login starts."""
_DOCUMENTED = Path(__file__).parents[1] / "fixtures" / "canvas"


@dataclass(frozen=True)
class Refusal:
    """A refusal by name, and what it says besides: the claim, or a sentence. None is any."""

    kind: type[errors.Refused]
    detail: str | None = ""


def malformed(claim: str) -> Refusal:
    return Refusal(errors.LaunchMalformed, claim)


EXPIRED, ANONYMOUS = Refusal(errors.LaunchExpired), Refusal(errors.LaunchAnonymous)
UNKNOWN = Refusal(errors.PlatformUnknown, None)
NO_MESSAGE = Refusal(errors.LaunchForged, "The message is not a signed LTI message.")
NOT_AS_REQUIRED = Refusal(errors.LaunchForged, "The message is not signed the way LTI requires.")
NO_KEY_NAMED = Refusal(errors.LaunchForged, "The message does not say which key signed it.")
UNKNOWN_KEY = Refusal(
    errors.LaunchForged, "The message is signed with a key that the platform does not publish."
)
NOT_SIGNED = Refusal(errors.LaunchForged, "The signature does not fit the message.")
OTHER_TOOL = Refusal(errors.LaunchForged, "The message is meant for another tool.")
OTHER_PLATFORM = Refusal(errors.LaunchForged, "The message answers a login at another platform.")
OTHER_LOGIN = Refusal(errors.LaunchForged, "The message belongs to another login.")
NOWHERE = Refusal(errors.NotHere)
NO_LOGIN = Refusal(errors.LaunchForged, "The message does not answer a login of this browser.")


@dataclass(frozen=True)
class Sender:
    """A platform as the tool knows it, and how it begins a login."""

    name: str
    product: str
    issuer: str
    client_id: str
    deployment_id: str
    kid: str
    login: dict[str, str] = field(hash=False)


MOODLE = Sender(
    "Moodle",
    "moodle",
    ISSUER,
    CLIENT_ID,
    "1",
    "0eabbc8bc3d143a7780c",
    {
        "login_hint": "5",
        "lti_message_hint": '{"cmid":1,"launchid":"ltilaunch1_771053661"}',
        "lti_deployment_id": "1",
    },
)
CANVAS = Sender(
    "Canvas",
    "canvas",
    "https://canvas.instructure.com",
    "10000000000068",
    "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
    "2025-02-01T01:16:43Z_3018685d-05b7-43cb-b865-027eec352714",
    {
        "login_hint": "535fa085f22b4655f48cd5a36a9215f64c062838",
        "lti_message_hint": "eyJ0eXAiOiJKV1QifQ." + "x" * 600 + ".c2ln",
        "deployment_id": "106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb",
        "canvas_region": "us-east-1",
        "canvas_environment": "prod",
        "lti_storage_target": "post_message_forwarding",
    },
)


@dataclass(frozen=True)
class Base:
    """A good message that the others are made from."""

    file: str
    sender: Sender

    def __str__(self) -> str:
        return f"{self.sender.product} {self.file.removesuffix('.json').removeprefix('launch-')}"


LEARNER = Base("launch-learner.json", MOODLE)
PICKING = Base("launch-deep-linking.json", MOODLE)
CANVAS_LEARNER = Base("assignment-learner.json", CANVAS)
CANVAS_PICKING = Base("deep-linking.json", CANVAS)
CHANGED = (LEARNER, Base("launch-instructor.json", MOODLE), PICKING, CANVAS_LEARNER, CANVAS_PICKING)
GOOD = (
    *CHANGED,
    Base("claims-after-course-copy.json", MOODLE),
    Base("claims-non-editing-teacher.json", MOODLE),
    Base("claims-site-admin.json", MOODLE),
    Base("navigation-instructor.json", CANVAS),
    Base("assignment-student-view.json", CANVAS),
)

_WRONG_KINDS: dict[str, Any] = {
    "null": None,
    "a number": 5,
    "a fraction": 0.5,
    "a list": [],
    "a list of nothing": [None],
    "a map": {},
    "true": True,
    "empty": "",
}
_ALWAYS = (
    *("iss", "aud", "sub", "exp", "iat", "nonce"),
    *(LTI + claim for claim in ("version", "message_type", "deployment_id", "target_link_uri", "roles")),
)
_ALLOWED = {(LTI + "roles", "a list"), (LTI + "roles", "a list of nothing")}
"""A person without any role is somebody without any right here, and no fault of the message."""


@dataclass(frozen=True)
class Keys:
    """``registered`` is published by the platform, ``stranger`` nowhere."""

    registered: Key
    stranger: Key


@dataclass(frozen=True)
class Case:
    """One wrong launch: how the claims differ, and how the message is signed."""

    name: str
    refused: Refusal
    base: Base = LEARNER
    change: Callable[[Claims], object] = lambda _: None
    token: Callable[[Claims, Keys], str] = lambda claims, keys: signed(claims, keys.registered)
    form: Callable[[dict[str, str]], object] = lambda _: None


@dataclass(frozen=True)
class LoginCase:
    """One wrong login: how its parameters differ from the recorded ones."""

    name: str
    refused: Refusal
    params: dict[str, str] = field(default_factory=dict)
    without: str | None = None
    in_address: Refusal | None = None
    """Where that is another: in no address is NUL let as far as a page."""


def launches() -> list[Case]:
    """All wrong launches."""
    return [*_wrong_claims(), *_wrong_values(), *_wrong_headers(), *_wrong_signatures(), *_wrong_forms()]


def logins() -> list[LoginCase]:
    """All wrong logins."""
    required = ("iss", "login_hint", "target_link_uri")
    return [
        *(LoginCase(f"without {name}", malformed(name), without=name) for name in required),
        *(LoginCase(f"{name} empty", malformed(name), {name: ""}) for name in required),
        *(
            LoginCase(f"{name} with NUL", malformed(name), {name: "a\0b"}, in_address=NOWHERE)
            for name in required
        ),
        *(
            LoginCase(f"{name} without end", malformed(name), {name: "x" * 100_000})
            for name in (*required, "lti_message_hint")
        ),
        LoginCase("unknown issuer", UNKNOWN, {"iss": "https://elsewhere.example"}),
        LoginCase("issuer with a slash", UNKNOWN, {"iss": ISSUER + "/"}),
        LoginCase("issuer in capitals", UNKNOWN, {"iss": ISSUER.upper()}),
        LoginCase("unknown client", UNKNOWN, {"client_id": "somebody"}),
        LoginCase("client of another issuer", UNKNOWN, {"client_id": CANVAS.client_id}),
        LoginCase("client of an SQL wildcard", UNKNOWN, {"client_id": "%"}),
        LoginCase("no client where the issuer has several", UNKNOWN, without="client_id"),
        *(
            LoginCase(f"target {name}", malformed("target_link_uri"), {"target_link_uri": target})
            for name, target in _FOREIGN_TARGETS.items()
        ),
    ]


_FOREIGN_TARGETS = {
    "elsewhere": "https://elsewhere.example/lti/launch",
    "that begins like ours": PUBLIC_URL + ".evil.example/lti/launch",
    "with our address as a user name": PUBLIC_URL.replace("//", "//tool@") + "@evil.example/lti/launch",
    "on another scheme": PUBLIC_URL.replace("http:", "https:") + "/lti/launch",
    "on another port": PUBLIC_URL.replace(":8700", ":8701") + "/lti/launch",
    "as a script": "javascript:alert(1)//" + PUBLIC_URL,
    "relative": "/lti/launch",
    "on a page that no launch may open": PUBLIC_URL + "/verify",
    "on another visit": PUBLIC_URL + "/l/abc/work",
}


def _wrong_claims() -> Iterator[Case]:
    for base in CHANGED:
        of_its_kind = (DEEP_LINKING,) if base in (PICKING, CANVAS_PICKING) else (LTI + "resource_link",)
        for claim in (*_ALWAYS, *of_its_kind):
            short = claim.rsplit("/", 1)[-1]
            missing = ANONYMOUS if claim == "sub" else malformed(_named(claim))
            yield Case(f"{base}: {short} missing", missing, base, _without(claim))
            for kind, value in _WRONG_KINDS.items():
                if (claim, kind) not in _ALLOWED:
                    yield Case(
                        f"{base}: {short} is {kind}", _of_kind(claim, kind), base, _having(claim, value)
                    )


def _named(claim: str) -> str:
    short = claim.rsplit("/", 1)[-1]
    return "resource_link.id" if short == "resource_link" else short


def _of_kind(claim: str, kind: str) -> Refusal:
    if claim == "sub" and kind in ("null", "empty"):
        return ANONYMOUS
    if claim in ("iat", "exp") and kind in ("a number", "a fraction"):
        return EXPIRED  # A time indeed: the first seconds of 1970.
    return malformed(_named(claim))


def _wrong_values() -> Iterator[Case]:
    link, return_url = LTI + "resource_link", "deep_link_return_url"
    for kind, value in (_WRONG_KINDS | {"NUL": "\0"}).items():
        yield Case(
            f"resource_link.id is {kind}", malformed("resource_link.id"), change=_inside(link, "id", value)
        )
        yield Case(
            f"{return_url} is {kind}",
            malformed(return_url),
            PICKING,
            _inside(DEEP_LINKING, return_url, value),
        )
    for value in ("javascript:alert(1)", "//evil.example/x", "ftp://moodle.localhost/x", "return.php"):
        yield Case(
            f"{return_url} {value}", malformed(return_url), PICKING, _inside(DEEP_LINKING, return_url, value)
        )
    for name, value in _FOREIGN_TARGETS.items():
        yield Case(
            f"message for a target {name}",
            malformed("target_link_uri"),
            change=_having(LTI + "target_link_uri", value),
        )
    for claim, (refused, values) in {
        LTI + "version": (None, ("1.3", "1.1.0", "LTI-1p0", "1.3.0 ", "2.0")),
        LTI + "message_type": (
            None,
            ("basic-lti-launch-request", "LtiStartProctoring", "ltiResourceLinkRequest"),
        ),
        LTI + "deployment_id": (None, ("", "1\n", "1" * 256, "é", "1\0")),
        "iss": (UNKNOWN, ("https://elsewhere.example", ISSUER + "/", ISSUER.upper())),
        "aud": (UNKNOWN, ("somebody", CLIENT_ID.lower(), CLIENT_ID + " ", CANVAS.client_id)),
        "nonce": (OTHER_LOGIN, ("guessed", "x" * 5_000)),
        "sub": (None, ("5\0", "é" * 10, "x" * 256, "line\nbreak")),
        "iat": (None, (-1, 1e300, float("nan"), float("inf"), "now", "1795293533")),
        "exp": (None, (-1, 1e300, float("nan"), float("-inf"), "soon")),
    }.items():
        short = claim.rsplit("/", 1)[-1]
        for value in values:
            yield Case(f"{short} = {value!r:.40}", refused or malformed(short), change=_having(claim, value))
    yield Case("nonce = NUL", malformed("nonce"), change=_having("nonce", "\0"))
    yield from _wrong_times()
    yield from _wrong_audiences()


def _wrong_times() -> Iterator[Case]:
    for base in (LEARNER, CANVAS_LEARNER):
        name = base.sender.name
        yield Case(
            f"{name}: over two minutes ago",
            EXPIRED,
            base,
            lambda c: c.update(exp=int(_now(c) - 2 * MINUTE)),
        )
        yield Case(
            f"{name}: made twelve minutes ago", EXPIRED, base, lambda c: c.update(iat=_now(c) - 12 * MINUTE)
        )
        yield Case(
            f"{name}: made two minutes from now",
            malformed("iat"),
            base,
            lambda c: c.update(iat=_now(c) + 2 * MINUTE),
        )


def _now(claims: Claims) -> int:
    """When a good message is sent: Canvas dates its own earlier, and lets them last an hour from then."""
    now: int = claims["iat"] + (CANVAS_AGE if claims["iss"] == CANVAS.issuer else 0)
    return now


def _wrong_audiences() -> Iterator[Case]:
    for base in (LEARNER, CANVAS_LEARNER):
        name, ours = base.sender.name, base.sender.client_id
        yield Case(
            f"{name}: two audiences, no azp",
            OTHER_TOOL,
            base,
            lambda c: c.update(aud=["other", c["aud"]]) or c.pop("azp", None),
        )
        yield Case(
            f"{name}: two audiences, azp another", OTHER_TOOL, base, _audience([ours, "other"], "other")
        )
        yield Case(f"{name}: two audiences, azp a list", OTHER_TOOL, base, _audience([ours, "x"], [ours]))
        yield Case(
            f"{name}: an audience among junk", malformed("aud"), base, _audience([ours, 5, None], ours)
        )
    yield Case("a second tenant's audience", OTHER_PLATFORM, change=_having("aud", "second"))


def _audience(aud: list[Any], azp: Any) -> Callable[[Claims], object]:
    return lambda claims: claims.update(aud=aud, azp=azp)


def _wrong_headers() -> Iterator[Case]:
    for alg in (
        *("none", "None", "HS256", "RS384", "RS512", "PS256", "ES256", "EdDSA", "rs256", ""),
        *(None, 5, ["RS256"]),
    ):
        yield Case(f"alg {alg!r} over a good RS256 signature", NOT_AS_REQUIRED, token=_relabelled(alg=alg))
    for alg in ("RS384", "RS512", "PS256"):
        yield Case(f"truly signed with {alg}", NOT_AS_REQUIRED, token=_signed_as(alg))
    yield Case("unsigned", NOT_AS_REQUIRED, token=_unsigned)
    yield Case("signed with the public key as a shared secret", NOT_AS_REQUIRED, token=_symmetric)
    for kid in ("unknown", "../../etc/passwd", "' OR 1=1", "x" * 10_000):
        yield Case(f"kid {kid!r:.30}", UNKNOWN_KEY, token=_relabelled(kid=kid))
    for kid in ("", None, 5, ["a"], {}):
        yield Case(f"kid {kid!r:.30}", NO_KEY_NAMED, token=_relabelled(kid=kid))
    yield Case("no kid", NO_KEY_NAMED, token=lambda c, k: jwt.encode(c, k.registered.private, "RS256"))
    yield Case(
        "a key that the platform has withdrawn",
        UNKNOWN_KEY,
        token=lambda c, k: sign(c, Key("stale", k.stranger.private)),
    )
    yield Case("an id that two keys bear, neither of them ours", NOT_SIGNED, token=_twin)
    yield Case("crit", NOT_AS_REQUIRED, token=_relabelled(crit=["exp"]))
    yield Case("b64 false and critical", NOT_AS_REQUIRED, token=_relabelled(b64=False, crit=["b64"]))
    for header in ("jku", "x5u", "jwk"):
        yield Case(f"{header} with a key of the attacker's", UNKNOWN_KEY, token=_bringing(header))
    yield Case("header a list", NO_MESSAGE, token=_raw_header(b"[]"))
    yield Case("header broken", NO_MESSAGE, token=_raw_header(b'{"alg":"RS256"'))
    yield Case("header deep", NO_MESSAGE, token=_raw_header(b"[" * 50_000))


def _wrong_signatures() -> Iterator[Case]:
    for name, refused, token in (
        ("signed with a key that only bears the registered id", NOT_SIGNED, _impostor),
        ("signature empty", NOT_SIGNED, lambda c, k: sign(c, k.registered).rpartition(".")[0] + "."),
        ("signature cut", NOT_SIGNED, lambda c, k: sign(c, k.registered)[:-20]),
        ("signature lengthened", NOT_SIGNED, lambda c, k: sign(c, k.registered) + "AAAA"),
        (
            "signature of the wrong alphabet",
            NOT_SIGNED,
            lambda c, k: sign(c, k.registered)[:-4] + "++//",
        ),
        ("one bit of the signature", NOT_SIGNED, lambda c, k: _flipped(sign(c, k.registered))),
        ("claims changed after signing", NOT_SIGNED, _promoted),
        ("another message's signature", NOT_SIGNED, _swapped),
    ):
        yield Case(name, refused, token=token)


def _wrong_forms() -> Iterator[Case]:
    for name, token in {
        "empty": "",
        "two parts": "a.b",
        "four parts": "a.b.c.d",
        "five parts, as an encrypted one has": "a.b.c.d.e",
        "not ASCII": "é.é.é",
        "only dots": "..",
        "NUL": "\0.\0.\0",
        "an HTML page": "<html></html>",
        "not JSON inside": f"{_segment(b'{}')}.{_segment(b'{not json')}.AAAA",
        "a list inside": f"{_segment(b'{}')}.{_segment(b'[1, 2]')}.AAAA",
    }.items():
        yield Case(f"id_token {name}", NO_MESSAGE, form=_form(id_token=token))
    yield Case("no id_token", NO_MESSAGE, form=lambda form: form.pop("id_token"))
    yield Case("no state", NO_LOGIN, form=lambda form: form.pop("state"))
    for name, state in {
        "empty": "",
        "invented": "invented",
        "with NUL": "a\0",
        "not ASCII": "é" * 100,
        "without end": "x" * 100_000,
        "SQL": "' OR ''='",
    }.items():
        yield Case(f"state {name}", NO_LOGIN, form=_form(state=state))
    yield Case(
        "an error beside a good message",
        Refusal(errors.PlatformSaidNo, None),
        form=_form(error="access_denied"),
    )


def _without(claim: str) -> Callable[[Claims], object]:
    return lambda claims: claims.pop(claim)


def _having(claim: str, value: Any) -> Callable[[Claims], object]:
    return lambda claims: claims.update({claim: value})


def _inside(claim: str, name: str, value: Any) -> Callable[[Claims], object]:
    return lambda claims: claims.update({claim: {**claims[claim], name: value}})


def _form(**fields: str) -> Callable[[dict[str, str]], object]:
    return lambda form: form.update(fields)


def _segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _json(value: Any) -> str:
    return _segment(json.dumps(value).encode())


def _hand_signed(header: str, claims: Claims, key: Key) -> str:
    signed = f"{header}.{_json(claims)}"
    mark = key.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_segment(mark)}"


def _relabelled(**header: Any) -> Callable[[Claims, Keys], str]:
    def token(claims: Claims, keys: Keys) -> str:
        named = {"typ": "JWT", "alg": "RS256", "kid": keys.registered.kid} | header
        return _hand_signed(_json(named), claims, keys.registered)

    return token


def _raw_header(header: bytes) -> Callable[[Claims, Keys], str]:
    return lambda claims, keys: _hand_signed(_segment(header), claims, keys.registered)


def _signed_as(alg: str) -> Callable[[Claims, Keys], str]:
    return lambda claims, keys: jwt.encode(
        claims, keys.registered.private, alg, headers={"kid": keys.registered.kid}
    )


def _unsigned(claims: Claims, keys: Keys) -> str:
    return jwt.encode(claims, "", "none", headers={"kid": keys.registered.kid})


def _symmetric(claims: Claims, keys: Keys) -> str:
    shared = keys.registered.jwk()["n"].encode()
    return jwt.encode(claims, shared, "HS256", headers={"kid": keys.registered.kid})


def _bringing(header: str) -> Callable[[Claims, Keys], str]:
    def token(claims: Claims, keys: Keys) -> str:
        brought = keys.stranger.jwk() if header == "jwk" else "https://evil.example/jwks"
        return sign(claims, keys.stranger, {header: brought})

    return token


def _twin(claims: Claims, keys: Keys) -> str:
    return sign(claims, Key("twin", keys.stranger.private))


def _impostor(claims: Claims, keys: Keys) -> str:
    return sign(claims, Key(keys.registered.kid, keys.stranger.private))


def _promoted(claims: Claims, keys: Keys) -> str:
    header, _, mark = sign(claims, keys.registered).split(".")
    roles = ["http://purl.imsglobal.org/vocab/lis/v2/membership#Instructor"]
    return f"{header}.{_json({**claims, LTI + 'roles': roles})}.{mark}"


def _swapped(claims: Claims, keys: Keys) -> str:
    signed = sign(claims, keys.registered).rpartition(".")[0]
    return f"{signed}.{sign({**claims, 'sub': '6'}, keys.registered).rpartition('.')[2]}"


def _flipped(token: str) -> str:
    signed, _, mark = token.rpartition(".")
    raw = bytearray(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
    raw[10] ^= 1
    return f"{signed}.{_segment(bytes(raw))}"


def good(base: Base, *, nonce: str, now: datetime) -> Claims:
    """A message as it would be sent to us now, for a micro-credential that we have."""
    canvas = base.sender is CANVAS
    raw = _documented(base.file) if canvas else recorded(base.file)
    claims = fresh(raw, nonce=nonce, now=now)
    if canvas:
        claims["iat"] -= CANVAS_AGE
        claims["exp"] = claims["iat"] + 60 * MINUTE
    return claims | {LTI + "custom": {**claims.get(LTI + "custom", {}), "credential": "udl-variability"}}


def _documented(name: str) -> Claims:
    claims: Claims = json.loads((_DOCUMENTED / name).read_text(encoding="utf-8"))["claims"]
    return claims


def signed(claims: Claims, key: Key) -> str:
    """Signed by hand: the libraries refuse to sign claims of wrong types, which is what is tested here."""
    return _hand_signed(_json({"typ": "JWT", "alg": "RS256", "kid": key.kid}), claims, key)
