"""Choosing from the catalogue: what goes back to the platform, and what does not."""

import re
from html import unescape
from typing import Any

import jwt
import pytest
from flask import Flask
from sqlalchemy import select

from lti_tool import clock
from lti_tool.credentials.models import Credential, Stack
from lti_tool.credentials.offering import offers
from lti_tool.credentials.queries import version_by_key
from lti_tool.database import db
from lti_tool.lti.models import Platform
from tests.support.cast import Campus, add_placement
from tests.support.visits import Browser, visit_as

RETURN = "https://canvas.example.edu/deep_linking_response?data=abc"
DL = "https://purl.imsglobal.org/spec/lti-dl/claim/"
UDL, FADING, STACK = "udl-variability", "fading-prompts", "stack:family-partnership"


def choosing(
    app: Flask,
    campus: Campus,
    who: str = "ingrid",
    *,
    product: str = "moodle",
    frm: str | None = None,
    **settings: Any,
) -> Browser:
    """A deep linking visit, as a launch leaves it. ``frm``: the place in Canvas that it was begun from."""
    wanted = {"return_url": RETURN, "accept_types": ["ltiResourceLink"], "targets": ["iframe"]} | settings
    claims = {
        "message_type": "deep_linking",
        "issuer": "https://canvas.example.edu",
        "client_id": "10000000000042",
        "deployment_id": "1",
        "subject": who,
        "roles": [],
        "custom": {},
        "target_link_uri": "http://tool.localhost:8700/lti/launch",
        "deep_linking": wanted,
    }
    if frm is not None:
        claims["placement_name"] = frm
    with app.app_context():
        db.session.scalars(select(Platform)).one().product = product
        db.session.commit()
    return visit_as(app, campus, who, message_type="deep_linking", claims=claims)


def handed_back(page: str) -> dict[str, Any]:
    """What the page posts to the platform."""
    assert f'action="{RETURN}"' in page
    token = re.search(r'name="JWT" value="([^"]+)"', page)
    assert token is not None
    claims: dict[str, Any] = jwt.decode(token[1], options={"verify_signature": False})
    return claims


def items_of(page: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = handed_back(page)[DL + "content_items"]
    return items


def form_of(page: str) -> dict[str, list[str]]:
    """The form that adds, as it stands on the page."""
    form = page.partition('id="details"')[2].partition("</form>")[0]
    fields: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input[^>]* name="([^"]+)"[^>]*?\s+value="([^"]*)"', form):
        fields.setdefault(name, []).append(unescape(value))
    fields.pop("csrf_token")
    return fields


def add(picker: Browser, *picks: str, way: str = "", **typed: Any) -> Any:
    """Continue with these, change what is named, and press Add to course."""
    page = picker.get("/select/details", query_string={"pick": picks, "as": way})
    assert page.status_code == 200
    return picker.post("/select/details", form_of(page.text) | typed)


@pytest.fixture
def picker(app: Flask, campus: Campus) -> Browser:
    return choosing(app, campus)


@pytest.fixture
def many(app: Flask, campus: Campus) -> Browser:
    return choosing(app, campus, accept_multiple=True)


def test_the_whole_catalogue_is_offered_with_hours_and_whether_children_are_involved(
    app: Flask, picker: Browser
) -> None:
    page = picker.get("/select").text

    with app.app_context():
        keys = [*db.session.scalars(select(Credential.key))]
        keys += [f"stack:{key}" for key in db.session.scalars(select(Stack.key))]
    assert sorted(re.findall(r'name="pick"[^>]* value="([^"]+)"', page)) == sorted(keys)
    assert "children are involved" in page
    assert "can be done without children" in page
    assert "A stack of 2 micro-credentials" in page


def test_one_look_and_one_press_add_a_micro_credential_as_it_is_proposed(picker: Browser) -> None:
    answer = add(picker, UDL)

    (item,) = items_of(answer.text)
    assert item["custom"]["credential"] == UDL
    assert item["url"].endswith("/lti/launch?credential=udl-variability")
    assert item["title"].startswith("Universal Design for Learning")
    assert item["lineItem"]["scoreMaximum"] == 10
    assert item["lineItem"]["label"] == "UDL: Plan for Variability"
    assert "form-action" not in answer.headers["Content-Security-Policy"]


def test_faculty_set_title_points_and_the_name_in_the_gradebook(picker: Browser) -> None:
    typed = {"title-0": "Plan for everyone", "label-0": "Plan for everyone", "points-0": "12,5"}

    (item,) = items_of(add(picker, UDL, **typed).text)

    assert item["title"] == "Plan for everyone"
    assert item["lineItem"]["label"] == "Plan for everyone"
    assert (item["lineItem"]["scoreMaximum"], item["custom"]["points"]) == (12.5, "12.5")


def test_three_become_three_activities_or_one_with_a_choice_as_faculty_say(many: Browser) -> None:
    picks = (UDL, FADING, "family-voice-iep")

    each = items_of(add(many, *picks).text)
    (choice,) = items_of(add(many, *picks, way="choice", **{"points-0": "20"}).text)

    assert [item["custom"]["credential"] for item in each] == list(picks)
    assert len({item["lineItem"]["label"] for item in each}) == 3
    assert choice["custom"]["credential"] == ",".join(picks)
    assert choice["lineItem"]["scoreMaximum"] == 20
    assert choice["lineItem"]["label"] == "Choose 1 of 3"


def test_where_one_activity_is_taken_several_are_a_choice_and_a_stack_stands_alone(picker: Browser) -> None:
    page = picker.get("/select/details", query_string={"pick": [UDL, FADING]}).text
    (choice,) = items_of(add(picker, UDL, FADING).text)
    mixed = picker.get("/select/details", query_string={"pick": [UDL, STACK]})
    forced = picker.post("/select/details", {"pick": [UDL, STACK], "as": "each"})

    assert "2 activities" not in page
    assert choice["custom"]["credential"] == f"{UDL},{FADING}"
    assert (mixed.status_code, forced.status_code) == (422, 422)
    assert "one activity" in mixed.text


def test_a_stack_goes_into_the_course_as_one_activity(picker: Browser) -> None:
    (item,) = items_of(add(picker, STACK).text)

    assert item["custom"]["stack"] == "family-partnership"
    assert item["url"].endswith("?stack=family-partnership")
    assert len(item["lineItem"]["label"]) <= 30


def test_canvas_is_asked_only_what_it_keeps(app: Flask, campus: Campus) -> None:
    form = choosing(app, campus, product="canvas", frm="assignment_selection")
    menu = choosing(app, campus, product="canvas", frm="course_assignments_menu", accept_multiple=True)

    asked = form.get("/select/details", query_string={"pick": UDL}).text
    more = menu.get("/select/details", query_string={"pick": UDL}).text

    assert 'name="title-0"' not in asked + more
    assert 'name="due-0"' not in asked
    assert "asks for a due date itself" in asked
    assert 'name="due-0"' in more


def test_a_due_date_is_meant_in_the_zone_that_was_chosen(app: Flask, campus: Campus) -> None:
    menu = choosing(app, campus, product="canvas", frm="course_assignments_menu")
    year = clock.now().year + 1

    (item,) = items_of(add(menu, UDL, **{"due-0": f"{year}-07-01T23:59", "zone": "America/Denver"}).text)

    assert item["submission"]["endDateTime"] == f"{year}-07-02T05:59:00Z"


WRONG: list[tuple[dict[str, str], str]] = [
    ({"due-0": "2199-01-01T10:00"}, "Choose the time zone"),
    ({"due-0": "2199-01-01T10:01", "zone": "Mars/Olympus"}, "Choose the time zone"),
    ({"due-0": "2001-01-01T10:00", "zone": "UTC"}, "This moment is over"),
    ({"due-0": "9999-12-31T23:59", "zone": "Pacific/Honolulu"}, "This moment is over"),
    ({"due-0": "tomorrow", "zone": "UTC"}, "as day and time"),
    *(({"points-0": points}, "a number above 0") for points in ("0", "-1", "NaN", "1e30", "10.005", "")),
    ({"label-0": "x" * 31}, "1 characters too long"),
    ({"label-0": " "}, "Give the gradebook column a name"),
]


def test_what_cannot_be_sent_comes_back_with_everything_that_was_typed(app: Flask, campus: Campus) -> None:
    menu = choosing(app, campus, product="canvas", frm="course_assignments_menu")

    for typed, words in WRONG:
        answer = add(menu, UDL, **{"label-0": "Plan for everyone"} | typed)

        assert answer.status_code == 422, typed
        assert words in answer.text, typed
        assert "JWT" not in answer.text
        kept = form_of(answer.text)
        assert all(kept[name] == [value.strip()] for name, value in typed.items() if name != "zone"), typed


def test_a_name_that_does_not_tell_or_is_there_already_is_doubted_once(picker: Browser) -> None:
    doubted = add(picker, UDL, **{"label-0": "Assignment 1"})
    again = picker.post("/select/details", form_of(doubted.text))

    assert doubted.status_code == 422
    assert "does not tell" in doubted.text
    assert items_of(again.text)[0]["lineItem"]["label"] == "Assignment 1"


def test_what_the_course_has_already_is_marked_and_gets_a_name_of_its_own(
    app: Flask, campus: Campus, picker: Browser
) -> None:
    with app.app_context():
        add_placement(campus.deployment, campus.course, "link-2", UDL).title = "UDL: Plan for Variability"
        add_placement(campus.deployment, campus.other_course, "link-3", FADING)
        stack = db.session.scalars(select(Stack).filter_by(key="family-partnership")).one()
        add_placement(campus.deployment, campus.course, "link-4", "family-voice-iep").stack_id = stack.id
        db.session.commit()

    page = picker.get("/select").text
    entries = {entry.partition('"')[0]: entry for entry in page.split('name="pick" id="pick-')[1:]}
    here = {
        pick
        for entry in entries.values()
        for pick in re.findall(r'value="([^"]+)"', entry)[:1]
        if "Already in this course" in entry
    }
    (item,) = items_of(add(picker, UDL).text)

    assert {UDL, STACK} <= here
    assert "family-voice-iep" not in here
    assert item["lineItem"]["label"] == "UDL: Plan for Variability (2)"


def test_two_of_one_name_in_one_go_are_doubted_too(many: Browser) -> None:
    answer = add(many, UDL, FADING, **{"label-0": "Planning", "label-1": "planning"})

    assert answer.status_code == 422
    assert "the same name already" in answer.text


def test_without_a_column_no_points_are_asked_for_and_none_are_sent(app: Flask, campus: Campus) -> None:
    bare = choosing(app, campus, accept_lineitem=False)

    page = bare.get("/select/details", query_string={"pick": UDL}).text
    (item,) = items_of(add(bare, UDL).text)

    assert 'name="points-0"' not in page
    assert "lineItem" not in item
    assert "points" not in item["custom"]


def test_the_catalogue_is_searched_and_what_is_ticked_stays_ticked(picker: Browser) -> None:
    page = picker.get("/select", query_string={"q": "FADING prompts", "pick": UDL}).text
    nothing = picker.get("/select", query_string={"q": "50% quantum_"}).text

    assert f'value="{FADING}"' in page
    assert f'value="{UDL}" checked' in page
    assert "Ticked, and not in this list" in page
    assert "routines-conversation" not in page
    assert "Nothing in the catalogue says that" in nothing


def test_a_long_catalogue_is_paged_by_title(app: Flask) -> None:
    with app.app_context():
        everything, total = offers("", 1, 100)
        pages = [offers("", page, 2) for page in range(1, total // 2 + 2)]

    titles = [offer.title for found, _ in pages for offer in found]
    assert titles == [offer.title for offer in everything] == sorted(titles)
    assert len(titles) == total
    assert all(len(found) <= 2 for found, _ in pages)
    assert {count for _, count in pages} == {total}


def test_cancel_hands_back_nothing_politely(picker: Browser) -> None:
    claims = handed_back(picker.post("/select/cancel").text)

    assert claims[DL + "content_items"] == []
    assert DL + "errormsg" not in claims


def test_where_no_activity_is_taken_a_kind_page_leads_back_and_the_platform_hears_why(
    app: Flask, campus: Campus
) -> None:
    files = choosing(app, campus, accept_types=["file", "html"])

    page = files.get("/select").text
    claims = handed_back(files.post("/select/cancel").text)

    assert "Nothing can be added here" in page
    assert "Back to your course" in page
    assert claims[DL + "content_items"] == []
    assert "does not take" in claims[DL + "errormsg"]
    assert files.post("/select/details", {"pick": UDL}).status_code == 422


def test_choosing_nothing_is_told_on_the_page_itself(picker: Browser) -> None:
    answer = picker.get("/select/details")

    assert answer.status_code == 422
    assert "Choose a micro-credential or a stack first." in answer.text


@pytest.mark.parametrize("pick", ["no-such-thing", "stack:no-such", f"stack:{UDL}"])
def test_an_unknown_micro_credential_is_not_there(picker: Browser, pick: str) -> None:
    assert picker.get("/select/details", query_string={"pick": pick}).status_code == 404
    assert picker.post("/select/details", {"pick": pick}).status_code == 404


def test_a_learner_cannot_add_anything(app: Flask, campus: Campus) -> None:
    lena = choosing(app, campus, "lena")

    assert lena.get("/select").status_code == 403
    assert lena.post("/select/details", {"pick": UDL}).status_code == 403


def test_an_ordinary_visit_adds_nothing(app: Flask, campus: Campus) -> None:
    assert visit_as(app, campus, "ingrid").get("/select").status_code == 403


def test_faculty_choose_how_a_demonstration_counts_and_the_link_keeps_it(many: Browser) -> None:
    page = many.get("/select/details", query_string={"pick": [UDL, STACK]}).text
    proposed = items_of(add(many, UDL, STACK).text)
    chosen = items_of(add(many, UDL, STACK, **{"policy-0": "criteria", "policy-1": "criteria"}).text)
    nonsense = items_of(add(many, UDL, **{"policy-0": "double"}).text)

    assert 'name="policy-0"' in page
    # A stack always gets all of its points, once all of it is earned.
    assert 'name="policy-1"' not in page
    assert [item["custom"].get("score_policy") for item in proposed] == ["full", None]
    assert [item["custom"].get("score_policy") for item in chosen] == ["criteria", None]
    assert nonsense[0]["custom"]["score_policy"] == "full"


def test_rubric_points_are_on_offer_only_where_every_choice_has_them(
    app: Flask, campus: Campus, many: Browser
) -> None:
    with app.app_context():
        for criterion in version_by_key(UDL).criteria:
            for level in criterion.levels:
                level.points = level.position
        db.session.commit()

    each = many.get("/select/details", query_string={"pick": [UDL, FADING]}).text
    choice = many.get("/select/details", query_string={"pick": [UDL, FADING], "as": "choice"}).text
    (item,) = items_of(add(many, UDL, **{"policy-0": "rubric"}).text)

    assert each.count('value="rubric"') == 1
    assert 'value="rubric"' not in choice
    assert item["custom"]["score_policy"] == "rubric"
