"""Messages that must be refused, each signed with the registered key, so that its own fault is what refuses it.

The first group are the cases of the 1EdTech certification suite; the others are mistakes and attacks seen in the field.
"""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from sqlalchemy import func, select

from lti_tool import errors
from lti_tool.database import db
from lti_tool.lti import launch, registrations
from lti_tool.lti.models import Launch
from tests.lti.conftest import NOW, Door, recorded
from tests.lti.platform_double import (
    CLIENT_ID,
    DEEP_LINKING,
    ISSUER,
    LTI,
    PUBLIC_URL,
    FakePlatform,
    Key,
    fresh,
    sign,
)

Claims = dict[str, Any]
SECOND = int(NOW.timestamp())


def without(claim: str) -> Callable[[Claims], object]:
    return lambda claims: claims.pop(claim)


def having(claim: str, value: Any) -> Callable[[Claims], object]:
    return lambda claims: claims.update({claim: value})


@pytest.mark.parametrize(
    ("change", "refusal", "detail"),
    [
        pytest.param(without(LTI + "version"), errors.LaunchMalformed, "version", id="no version"),
        pytest.param(having(LTI + "version", "11.3"), errors.LaunchMalformed, "version", id="wrong version"),
        pytest.param(without(LTI + "message_type"), errors.LaunchMalformed, "message_type", id="no type"),
        pytest.param(
            having(LTI + "message_type", "LtiStartProctoring"),
            errors.LaunchMalformed,
            "message_type",
            id="a type we do not serve",
        ),
        pytest.param(
            having(LTI + "message_type", ["LtiResourceLinkRequest"]),
            errors.LaunchMalformed,
            "message_type",
            id="a list as type",
        ),
        pytest.param(without(LTI + "roles"), errors.LaunchMalformed, "roles", id="no roles"),
        pytest.param(having(LTI + "roles", "Learner"), errors.LaunchMalformed, "roles", id="roles no array"),
        pytest.param(
            without(LTI + "deployment_id"), errors.LaunchMalformed, "deployment_id", id="no deployment"
        ),
        pytest.param(
            having(LTI + "deployment_id", "1" * 256),
            errors.LaunchMalformed,
            "deployment_id",
            id="endless deployment",
        ),
        pytest.param(
            without(LTI + "resource_link"), errors.LaunchMalformed, "resource_link.id", id="no resource link"
        ),
        pytest.param(
            having(LTI + "resource_link", {"title": "Reflection"}),
            errors.LaunchMalformed,
            "resource_link.id",
            id="resource link without id",
        ),
        pytest.param(without("sub"), errors.LaunchAnonymous, "", id="anonymous"),
        pytest.param(having("sub", ""), errors.LaunchAnonymous, "", id="empty sub"),
        pytest.param(having("sub", "5\0"), errors.LaunchMalformed, "sub", id="sub with NUL"),
        pytest.param(having("iss", "\0"), errors.LaunchMalformed, "iss", id="issuer NUL"),
        pytest.param(having("aud", [CLIENT_ID, 5]), errors.LaunchMalformed, "aud", id="audience as number"),
        pytest.param(having("sub", 5), errors.LaunchMalformed, "sub", id="sub as number"),
        pytest.param(without("exp"), errors.LaunchMalformed, "exp", id="no exp"),
        pytest.param(without("iat"), errors.LaunchMalformed, "iat", id="no iat"),
        pytest.param(having("exp", "soon"), errors.LaunchMalformed, "exp", id="exp in words"),
        pytest.param(having("exp", float("nan")), errors.LaunchMalformed, "exp", id="exp not a number"),
        pytest.param(having("exp", True), errors.LaunchMalformed, "exp", id="exp true"),
        pytest.param(having("exp", SECOND - 61), errors.LaunchExpired, "", id="expired"),
        pytest.param(having("iat", SECOND - 661), errors.LaunchExpired, "", id="too old, though not expired"),
        pytest.param(having("iat", SECOND + 61), errors.LaunchMalformed, "iat", id="from the future"),
        pytest.param(without("nonce"), errors.LaunchMalformed, "nonce", id="no nonce"),
        pytest.param(having("nonce", "guessed"), errors.LaunchForged, None, id="another nonce"),
        pytest.param(without("iss"), errors.LaunchMalformed, "iss", id="no issuer"),
        pytest.param(having("iss", ISSUER + "/"), errors.PlatformUnknown, None, id="issuer with a slash"),
        pytest.param(without("aud"), errors.LaunchMalformed, "aud", id="no audience"),
        pytest.param(having("aud", []), errors.LaunchMalformed, "aud", id="empty audience"),
        pytest.param(having("aud", "somebody"), errors.PlatformUnknown, None, id="another audience"),
        pytest.param(
            having("aud", ["other", CLIENT_ID]), errors.LaunchForged, None, id="two audiences, no azp"
        ),
        pytest.param(
            lambda claims: claims.update(aud=["other", CLIENT_ID], azp="other"),
            errors.LaunchForged,
            None,
            id="two audiences, azp another",
        ),
        pytest.param(
            having(LTI + "target_link_uri", "https://elsewhere.example/lti/launch"),
            errors.LaunchMalformed,
            "target_link_uri",
            id="target elsewhere",
        ),
        pytest.param(
            having(LTI + "target_link_uri", PUBLIC_URL + ".evil.example/lti/launch"),
            errors.LaunchMalformed,
            "target_link_uri",
            id="target that begins like ours",
        ),
        pytest.param(
            having(LTI + "target_link_uri", PUBLIC_URL + "/verify"),
            errors.LaunchMalformed,
            "target_link_uri",
            id="target on a page that no launch may open",
        ),
        pytest.param(
            without(LTI + "target_link_uri"), errors.LaunchMalformed, "target_link_uri", id="no target"
        ),
    ],
)
def test_a_signed_message_with_one_fault_is_refused_for_that_fault(
    door: Door,
    learner_claims: Claims,
    change: Callable[[Claims], object],
    refusal: type[errors.Refused],
    detail: str | None,
) -> None:
    with pytest.raises(errors.Refused) as refused:
        door.launch(learner_claims, change)

    assert type(refused.value) is refusal
    if detail is not None:
        assert refused.value.detail == detail
    assert db.session.scalar(select(func.count()).select_from(Launch)) == 0


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (without(DEEP_LINKING), "deep_linking_settings"),
        (lambda claims: claims[DEEP_LINKING].pop("deep_link_return_url"), "deep_link_return_url"),
        (
            lambda claims: claims[DEEP_LINKING].update(deep_link_return_url="javascript:alert(1)"),
            "deep_link_return_url",
        ),
    ],
)
def test_a_deep_linking_message_that_cannot_be_answered_is_refused(
    door: Door, change: Callable[[Claims], object], detail: str
) -> None:
    with pytest.raises(errors.LaunchMalformed) as refused:
        door.launch(recorded("launch-deep-linking.json"), change)

    assert refused.value.detail == detail


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(having("iat", SECOND + 5), id="clock five seconds ahead"),
        pytest.param(having("iat", SECOND - 300), id="Canvas dates the message when the login starts"),
        pytest.param(having("exp", SECOND - 30), id="expired within the leeway"),
        pytest.param(having("aud", [CLIENT_ID]), id="audience as a list"),
        pytest.param(
            lambda claims: claims.update(aud=["other", CLIENT_ID], azp=CLIENT_ID),
            id="two audiences, azp ours",
        ),
        pytest.param(having(LTI + "roles", []), id="no role at all"),
        pytest.param(having(LTI + "target_link_uri", PUBLIC_URL), id="the bare address of the tool"),
        pytest.param(
            having(LTI + "target_link_uri", PUBLIC_URL + "/lti/launch?credential=udl-1"), id="our own link"
        ),
        pytest.param(without(LTI + "context"), id="no course"),
        pytest.param(without("name"), id="no name"),
        pytest.param(without("email"), id="no e-mail"),
        pytest.param(having("email", None), id="a null e-mail"),
        pytest.param(
            lambda claims: [claims.pop(claim) for claim in ("name", "given_name", "family_name", "email")],
            id="nothing personal at all",
        ),
        pytest.param(
            having(LTI + "lis", {"person_sourcedid": "$Person.sourcedId"}),
            id="a variable left as it is in lis",
        ),
        pytest.param(
            lambda claims: claims[LTI + "custom"].update(term_start="$Canvas.term.startAt", count=3, on=True),
            id="custom parameters that are variables, numbers and truths",
        ),
        pytest.param(
            lambda claims: [
                claim.update(validation_context=None, errors={"errors": {}})
                for claim in claims.values()
                if isinstance(claim, dict)
            ],
            id="Canvas' leftovers in every claim",
        ),
        pytest.param(
            lambda claims: claims[LTI + "resource_link"].update(
                description=None, validation_context=None, errors={"errors": {}}
            ),
            id="Canvas' leftovers",
        ),
        pytest.param(having("https://www.instructure.com/placement", None), id="a null placement"),
    ],
)
def test_what_is_unusual_but_allowed_is_accepted(
    door: Door, learner_claims: Claims, change: Callable[[Claims], object]
) -> None:
    visit, _ = door.launch(learner_claims, change)

    assert visit.subject == "5"


def test_a_message_signed_with_a_key_that_only_looks_registered_is_refused_and_costs_nothing(
    door: Door, learner_claims: Claims, key: Key, other_key: Key
) -> None:
    begun = door.login()
    message = fresh(learner_claims, nonce=begun.nonce, now=NOW)

    with pytest.raises(errors.LaunchForged):
        door.post(message, begun, key=Key(key.kid, other_key.private))

    assert door.post(message, begun)[0].subject == "5"


@pytest.mark.parametrize("header", [{"kid": "nobody"}, {"crit": ["exp"]}, {"alg": "RS512"}])
def test_a_header_that_names_another_key_or_another_way_to_sign_is_refused(
    door: Door, learner_claims: Claims, header: dict[str, Any]
) -> None:
    begun = door.login()

    with pytest.raises(errors.LaunchForged):
        door.post(fresh(learner_claims, nonce=begun.nonce, now=NOW), begun, header=header)


def test_a_message_without_a_key_id_is_refused(door: Door, learner_claims: Claims, key: Key) -> None:
    begun = door.login()
    token = jwt.encode(fresh(learner_claims, nonce=begun.nonce, now=NOW), key.private, "RS256")

    with pytest.raises(errors.LaunchForged):
        door.post_token(token, begun)


def test_a_key_that_the_message_brings_along_is_not_believed(
    door: Door, learner_claims: Claims, platform: FakePlatform, other_key: Key
) -> None:
    begun = door.login()
    header = {"jwk": other_key.jwk(), "jku": platform.url + "/evil", "x5u": platform.url + "/evil"}

    with pytest.raises(errors.LaunchForged):
        door.post(fresh(learner_claims, nonce=begun.nonce, now=NOW), begun, key=other_key, header=header)

    assert platform.asked_at("/evil") == []


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize("alg", ["none", "HS256", "PS256", None])
def test_a_good_signature_under_another_name_is_refused(
    door: Door, learner_claims: Claims, key: Key, alg: str | None
) -> None:
    begun = door.login()
    header = json.dumps({"alg": alg, "kid": key.kid}).encode()
    body = json.dumps(fresh(learner_claims, nonce=begun.nonce, now=NOW)).encode()
    signed = f"{segment(header)}.{segment(body)}"
    mark = key.private.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())

    with pytest.raises(errors.LaunchForged):
        door.post_token(f"{signed}.{segment(mark)}", begun)


def test_unsigned_and_symmetrically_signed_messages_are_refused(
    door: Door, learner_claims: Claims, key: Key
) -> None:
    begun = door.login()
    message = fresh(learner_claims, nonce=begun.nonce, now=NOW)
    modulus = key.jwk()["n"].encode()

    for token in (
        jwt.encode(message, "", "none", headers={"kid": key.kid}),
        jwt.encode(message, modulus, "HS256", headers={"kid": key.kid}),
    ):
        with pytest.raises(errors.LaunchForged):
            door.post_token(token, begun)


HEADER = segment(json.dumps({"alg": "RS256", "kid": "0eabbc8bc3d143a7780c"}).encode())


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c.d",
        "é.é.é",
        f"{HEADER}.{segment(b'{not json')}.AAAA",
        f"{HEADER}.{segment(b'[1, 2]')}.AAAA",
        f"{HEADER}.{segment(b'[' * 100_000)}.AAAA",
        f"{segment(b'[]')}.{segment(b'{}')}.AAAA",
        f"{HEADER}.!!!!.AAAA",
    ],
    ids=["empty", "two parts", "four parts", "not ASCII", "bad JSON", "list", "deep", "header list", "junk"],
)
def test_what_is_no_signed_message_at_all_is_refused(door: Door, token: str) -> None:
    begun = door.login()

    with pytest.raises(errors.LaunchForged):
        door.post_token(token, begun)


def test_a_message_that_comes_a_second_time_is_told_so(door: Door, learner_claims: Claims) -> None:
    begun = door.login()
    message = fresh(learner_claims, nonce=begun.nonce, now=NOW)
    door.post(message, begun)

    with pytest.raises(errors.LaunchUsed):
        door.post(message, begun)


def test_reloading_long_after_says_used_and_not_expired(door: Door, learner_claims: Claims) -> None:
    begun = door.login()
    message = fresh(learner_claims, nonce=begun.nonce, now=NOW)
    door.post(message, begun)
    door.now = NOW + timedelta(hours=1)

    with pytest.raises(errors.LaunchUsed):
        door.post(message, begun)


def test_a_second_message_for_the_same_login_is_refused_even_with_its_nonce(
    door: Door, learner_claims: Claims
) -> None:
    begun = door.login()
    door.post(fresh(learner_claims, nonce=begun.nonce, now=NOW), begun)
    another = fresh(learner_claims, nonce=begun.nonce, now=NOW) | {"sub": "6"}

    with pytest.raises(errors.LaunchUsed):
        door.post(another, begun)


def test_the_nonce_of_one_login_does_not_open_another(door: Door, learner_claims: Claims) -> None:
    first, second = door.login(), door.login()

    with pytest.raises(errors.LaunchForged):
        door.post(fresh(learner_claims, nonce=first.nonce, now=NOW), second)

    assert door.post(fresh(learner_claims, nonce=first.nonce, now=NOW), first)[0].subject == "5"


def test_another_browser_cannot_use_a_login_and_does_not_spoil_it(door: Door, learner_claims: Claims) -> None:
    begun = door.login()
    token = sign(fresh(learner_claims, nonce=begun.nonce, now=NOW), door.key)
    form = {"id_token": token, "state": begun.state}

    with pytest.raises(errors.LaunchForged):
        launch.receive(form, browser="browser-two", now=NOW)

    db.session.rollback()
    assert launch.receive(form, browser=begun.browser, now=NOW)[0].subject == "5"


@pytest.mark.parametrize("state", ["", "invented", "nul\0", "é" * 500])
def test_a_state_that_we_never_gave_out_is_refused(door: Door, learner_claims: Claims, state: str) -> None:
    begun = door.login()
    begun.state = state

    with pytest.raises(errors.LaunchForged):
        door.post(fresh(learner_claims, nonce=begun.nonce, now=NOW), begun)


def test_a_message_after_the_ten_minutes_of_its_login_is_too_late(door: Door, learner_claims: Claims) -> None:
    begun = door.login()
    door.now = NOW + timedelta(minutes=10)

    with pytest.raises(errors.LaunchExpired):
        door.post(fresh(learner_claims, nonce=begun.nonce, now=door.now), begun)


def test_a_browser_that_brings_no_cookie_back_is_told_about_cookies(
    door: Door, learner_claims: Claims
) -> None:
    begun = door.login()
    token = sign(fresh(learner_claims, nonce=begun.nonce, now=NOW), door.key)

    with pytest.raises(errors.CookieBlocked):
        launch.receive({"id_token": token, "state": begun.state}, browser=None, now=NOW)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("login_required", "not signed in"),
        ("launch_no_longer_valid", "took too long"),
        ("server_error", "server_error"),
    ],
)
def test_an_error_of_the_platform_is_explained_without_its_own_text(
    app: object, code: str, words: str
) -> None:
    form = {"error": code, "error_description": "Call +1 555 0100 now", "state": "x"}

    with pytest.raises(errors.PlatformSaidNo) as refused:
        launch.receive(form, browser="browser-one", now=NOW)

    assert words in refused.value.detail
    assert "555" not in refused.value.detail


def test_an_error_code_that_is_none_is_not_shown(app: object) -> None:
    with pytest.raises(errors.PlatformSaidNo) as refused:
        launch.receive({"error": "<b>Call us</b>"}, browser="browser-one", now=NOW)

    assert refused.value.detail == ""


def test_two_schools_with_one_issuer_and_one_key_set_stay_apart(
    door: Door, learner_claims: Claims, platform: FakePlatform
) -> None:
    registrations.add_platform(
        name="Second school",
        product="canvas",
        issuer=ISSUER,
        client_id="second",
        auth_url=platform.url + "/auth",
        token_url=platform.url + "/token",
        jwks_url=platform.url + "/jwks",
        deployment_ids=["1"],
        now=NOW,
    )
    begun_at_first = door.login()
    begun_at_second = door.login(client_id="second")
    for_second = fresh(learner_claims, nonce=begun_at_second.nonce, now=NOW) | {"aud": "second"}

    with pytest.raises(errors.LaunchForged):
        door.post(for_second | {"nonce": begun_at_first.nonce}, begun_at_first)
    visit, message = door.post(for_second, begun_at_second)

    assert message.client_id == "second"
    assert visit.deployment.registration.platform.name == "Second school"
    with pytest.raises(errors.PlatformUnknown):
        door.login(client_id="")
