"""The main job, step by step, as the people of a course would do it in their browsers."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

from lti_tool.selfcheck.badges import (
    badge_is_revoked,
    badge_is_shared,
    badge_is_signed,
    verifier_fetches_keys,
    verify_accepts,
    verify_refuses,
)
from lti_tool.selfcheck.browser import Form, Page, Value
from lti_tool.selfcheck.scene import (
    FACULTY,
    OTHER_EARNER,
    REGISTRAR,
    Scene,
    Step,
    become,
    expect,
    has_button,
    has_link,
    opened,
    soon,
)

_LINK = "https://www.example.org/redesigned-lesson"
_CHANGE = "The second answer now says what each option costs."
_FEEDBACK = "The work shows a careful eye. Please make the second part more concrete."


# Faculty put it into the course


def faculty_add(scene: Scene) -> None:
    become(scene, FACULTY).says("Add from")
    browser = scene.browser(FACULTY)
    picker = browser.frame(browser.get(scene.at_lms("/course/add")))
    form, _ = picker.button("Continue")
    offers = [one for one in form.fields if one.name == "pick"]
    expect(len(offers) >= 3, f"The catalogue offers only {len(offers)} micro-credentials. {picker.summary()}")
    offer = next((one for one in offers if "Universal Design" in one.label), offers[0])
    scene.credential = offer.label
    details = browser.press(picker, "Continue", {"pick": offer.value})
    details.says(scene.credential, "Points")
    back = browser.press(details, "Add to course")
    back.says("Added:")
    course = browser.get(scene.at_lms("/course"))
    links = [link for link in course.links if link.href.startswith("/activity/")]
    expect(len(links) == 1, f"The course has {len(links)} activities instead of one.")
    scene.activity = urljoin(course.url, links[0].href)


def faculty_publish(scene: Scene) -> None:
    browser = scene.browser(FACULTY)
    browser.press(browser.get(scene.at_lms("/course")), "Publish").says("is published")


def faculty_sees_nobody(scene: Scene) -> None:
    opened(scene, FACULTY).says(scene.credential, "Nobody has begun yet")


# The earner works


def earner_reads(scene: Scene) -> None:
    become(scene, scene.earner)
    about = opened(scene, scene.earner)
    about.says(scene.credential, "Needed to pass", "What it takes to pass", "Read")
    scene.browser(scene.earner).press(about, "Start").says("Your work", "You have started")


def earner_saves(scene: Scene) -> None:
    browser = scene.browser(scene.earner)
    page = browser.get(_work(scene))
    answers = _answers(page)
    first = next(iter(answers))
    browser.press(page, "Save", {first: answers[first]}).says("Saved", "Last saved")
    again = browser.get(_work(scene))
    form, _ = again.button("Save")
    kept = next(one.value for one in form.fields if one.name == first)
    expect(kept.split() == answers[first].split(), "The saved answer did not come back.")


def earner_hands_in_too_early(scene: Scene) -> None:
    browser = scene.browser(scene.earner)
    work = browser.get(_work(scene))
    check = browser.press(work, "Save, then check and hand in")
    check.says("still missing")
    expect(not has_button(check, "Hand in"), "Unfinished work can be handed in.")
    form, _ = work.button("Save")
    kept = {one.name: one.value for one in form.fields if one.name in ("csrf_token", "attempt")}
    tried = kept | {"own_work": "yes", "no_names": "yes", "people": "no_one_else"}
    refused = browser.post(check.url, tried)
    expect(refused.status == 422, f"Handing in with tasks missing was answered with {refused.status}.")
    refused.says("Not handed in", "still missing")


def earner_completes(scene: Scene) -> None:
    browser = scene.browser(scene.earner)
    work = browser.get(_work(scene))
    fill: dict[str, Value] = dict(_answers(work))
    form, _ = work.button("Save")
    files = [one.name for one in form.fields if one.kind == "file"]
    for name in files:
        fill[name] = (f"{name}.pdf", _pdf(name), "application/pdf")
    links = [
        one.name for one in form.fields if one.name.startswith("link-") and not one.name.endswith("-title")
    ]
    for name in links[-1:]:
        fill |= {name: _LINK, f"{name}-title": "The redesigned lesson"}
    done = browser.press(work, "Save, then check and hand in", fill)
    done.says("Everything is there")
    kept = browser.get(_work(scene))
    kept.says(*(f"{name}.pdf" for name in files), *(["The redesigned lesson"] if links else []))


def earner_hands_in(scene: Scene) -> None:
    _hand_in(scene).says("Handed in")


def _hand_in(scene: Scene) -> Page:
    browser = scene.browser(scene.earner)
    check = browser.press(browser.get(_work(scene)), "Save, then check and hand in")
    statements: dict[str, Value] = {"own_work": True, "no_names": True, "people": "no_one_else"}
    return browser.press(check, "Hand in", statements)


def _work(scene: Scene) -> str:
    """The address of the work, by a new launch: the earner left and came back."""
    page = opened(scene, scene.earner)
    return page.link("Continue") if has_link(page, "Continue") else page.link("Work on it again")


def _answers(page: Page) -> dict[str, str]:
    """Words for every written task, as many as are asked for."""
    form, _ = page.button("Save")
    return {
        one.name: _words(int(one.attributes.get("data-words-min", "40")) + 5)
        for one in form.fields
        if one.name.startswith("answer-")
    }


def _words(count: int) -> str:
    sentence = ("Each", "learner", "reaches", "the", "goal", "by", "a", "way", "that", "stays", "open.")
    return " ".join(sentence[at % len(sentence)] for at in range(count))


def _pdf(title: str) -> bytes:
    """A small file that a PDF reader opens."""
    lines = (
        b"%PDF-1.4",
        b"1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj",
        b"2 0 obj <</Type /Pages /Kids [3 0 R] /Count 1>> endobj",
        b"3 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]>> endobj",
        b"% " + title.encode("ascii", "replace"),
        b"trailer <</Root 1 0 R>>",
        b"%%EOF",
    )
    return b"\n".join(lines)


# The assessor decides


def assessor_returns_it(scene: Scene) -> None:
    assess(scene, met=False).says("not yet demonstrated")


def gradebook_is_empty(scene: Scene) -> None:
    cell = _cell(scene)
    expect(cell is None or cell["score"] is None, f"“Not yet” put a number into the gradebook: {cell}")


def earner_resubmits(scene: Scene) -> None:
    feedback = opened(scene, scene.earner)
    feedback.says("Not yet demonstrated", _FEEDBACK, "Still to show")
    browser = scene.browser(scene.earner)
    work = browser.get(feedback.link("Work on it again"))
    browser.press(work, "Save", {"note": _CHANGE})
    _hand_in(scene).says("Handed in", _CHANGE)


def assessor_confirms_it(scene: Scene) -> None:
    assess(scene, met=True, shown=_CHANGE).says("Recorded: demonstrated")


def assess(scene: Scene, *, met: bool, shown: str = "") -> Page:
    """Open what waits, rate every criterion and decide."""
    browser = scene.browser(FACULTY)
    course = opened(scene, FACULTY)
    course.says("1 waiting", "since today")
    review = browser.get(course.link("Assess"))
    review.says("What was handed in", "Needed to pass", *([shown] if shown else []))
    expect(
        scene.earner not in review.text, "The assessor reads who handed it in, though this page is anonymous."
    )
    form, _ = review.button("Record decision")
    fill: dict[str, Value] = {"feedback": _FEEDBACK if not met else "Every part shows it now."}
    fill |= _ratings(form, met=met) | {"outcome": "demonstrated" if met else "not_yet"}
    return browser.press(review, "Record decision", fill)


def _ratings(form: Form, *, met: bool) -> dict[str, Value]:
    """The level that passes for every criterion, or the lowest with a comment."""
    fill: dict[str, Value] = {}
    for control in form.fields:
        if control.kind != "radio" or not control.name.startswith("level-"):
            continue
        if (met and "Needed to pass" in control.label) or (not met and control.name not in fill):
            fill[control.name] = control.value
            if not met:
                fill[control.name.replace("level-", "comment-", 1)] = "Say for whom, and why."
    return fill


# The grade arrives


def grade_arrives(scene: Scene) -> None:
    cell = soon(lambda: _graded(scene), "there is no grade in the gradebook")
    expect(cell["score"] == cell["maximum"], f"The gradebook shows {cell['score']} of {cell['maximum']}.")
    expect(bool(cell["comment"]) and bool(cell["submitted_at"]), f"The grade came without its words: {cell}")


def _graded(scene: Scene) -> Mapping[str, Any] | None:
    cell = _cell(scene)
    return None if cell is None or cell["score"] is None else cell


def _cell(scene: Scene) -> Mapping[str, Any] | None:
    """The earner's cell of the gradebook, as the instructor's browser receives it; kept as the latest."""
    page = scene.browser(FACULTY).get(scene.at_lms("/gradebook.json"))
    expect(page.status == 200, f"The gradebook does not open. {page.summary()}")
    scene.keep("gradebook.json", page.content)
    cells: list[dict[str, Any]] = json.loads(page.content)
    return next((cell for cell in cells if cell["learner"] == scene.earner), None)


def ledger_shows_it(scene: Scene) -> None:
    become(scene, REGISTRAR)
    browser = scene.browser(REGISTRAR)

    def answered() -> Page | None:
        ledger = browser.frame(browser.get(scene.at_lms("/administration/open")))
        ledger.says("Ledger of scores", scene.earner, scene.credential)
        return ledger if "accepted the score" in ledger.text else None

    ledger = soon(answered, "the ledger shows no answer of the LMS")
    page = browser.get(ledger.link("Download these as CSV"))
    scene.keep("ledger.csv", page.content)
    rows = list(csv.DictReader(io.StringIO(page.content.decode("utf-8-sig"))))
    expect(len(rows) == 1, f"The ledger has {len(rows)} rows instead of one.")
    expect(scene.earner in rows[0].values(), f"The row of the ledger does not name the earner: {rows[0]}")


# Another earner, whose badge is taken back


def other_earner_passes(scene: Scene) -> None:
    """What the first earner did, with nothing missing."""
    other = replace(scene, earner=OTHER_EARNER)
    for step in (earner_reads, earner_completes, earner_hands_in):
        step(other)
    course = assess(other, met=True)
    course.says("Recorded: demonstrated")
    decision = scene.browser(FACULTY).get(course.link(f"See decision about {other.earner}"))
    scene.revocation = decision.link("The badge that came from it")


STEPS: tuple[tuple[str, Step], ...] = (
    ("Faculty add a micro-credential by deep linking", faculty_add),
    ("Faculty publish the activity", faculty_publish),
    ("Faculty open it: nobody has begun", faculty_sees_nobody),
    ("The earner reads what is asked, rubric included, and starts", earner_reads),
    ("The earner saves, leaves, and finds the words again", earner_saves),
    ("Handing in with tasks missing is refused", earner_hands_in_too_early),
    ("The earner answers everything, uploads and links evidence", earner_completes),
    ("The earner confirms the statements and hands in", earner_hands_in),
    ("The assessor decides “Not yet demonstrated”", assessor_returns_it),
    ("The gradebook shows no number", gradebook_is_empty),
    ("The earner reads the feedback and hands in again", earner_resubmits),
    ("The assessor decides “Demonstrated”", assessor_confirms_it),
    ("The grade arrives in the gradebook", grade_arrives),
    ("The registrar reads the LMS's answer in the ledger, and as CSV", ledger_shows_it),
    ("The earner downloads the badge as JSON, PNG, SVG and JWT", badge_is_signed),
    ("The earner shares it, and anyone can see that it is genuine", badge_is_shared),
    ("A verifier fetches the issuer's keys and the list of what was revoked", verifier_fetches_keys),
    ("The tool's own check accepts the badge", verify_accepts),
    ("The tool's own check refuses a tampered copy", verify_refuses),
    ("Another earner hands in, and the assessor decides “Demonstrated”", other_earner_passes),
    ("Faculty revoke that badge with a reason, and it is refused from then on", badge_is_revoked),
)
NEEDS_PUBLISHING = frozenset({"canvas"})
"""Behaviours that hide a new activity from learners."""
