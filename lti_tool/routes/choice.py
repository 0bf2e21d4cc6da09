"""Before the work: what an activity offers, what it asks, and beginning, or switching until something is handed in."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from flask import Blueprint, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from lti_tool import clock, errors
from lti_tool.assessment.queries import EarlierResult, earlier_result
from lti_tool.assessment.service import owe_here
from lti_tool.assessment.stacks import begin_part, way_of
from lti_tool.badges.achievements import ASSESSED_BY_ONE
from lti_tool.credentials.models import Credential, Version
from lti_tool.credentials.queries import current_id, current_of, published, stack_by_id, stacks_asking
from lti_tool.credentials.rules import PassRule, ways_on
from lti_tool.credit.queries import said_of
from lti_tool.database import db
from lti_tool.routes.guards import Visit, Who, allow
from lti_tool.settings import current
from lti_tool.stacks.rules import PartState
from lti_tool.submissions import queries, service
from lti_tool.submissions.models import Attempt, AttemptState
from lti_tool.tasks import wake

blueprint = Blueprint("choice", __name__)


@dataclass(frozen=True)
class _Words:
    """The parts of a page that say what a version says and nothing else."""

    asked: Markup
    rubric: Markup
    meaning: Markup


_words: WeakKeyDictionary[Version, _Words] = WeakKeyDictionary()
"""Of the versions that this process keeps, for as long as it keeps them: rendering them takes as long as all the rest
of an earner's first page."""


@blueprint.get("/l/<launch>/work/choose")
@allow(Who.EARNER)
def choose(visit: Visit) -> ResponseReturnValue:
    """What this activity offers, and what the earner has of it."""
    if visit.activity.stack_id is not None:
        return redirect(visit.url("stacks.overview"), code=303)
    ids = [choice.credential_id for choice in visit.activity.choices]
    here = attempt_of(visit)
    return render_template(
        "work/choose.html",
        visit=visit,
        versions=[version for _, version in sorted(current_of(ids).items(), key=lambda at: ids.index(at[0]))],
        attempts=queries.attempts_of(visit.person_id, ids, rehearsal=visit.rehearsal),
        chosen=here,
        fixed=here is not None and _handed_in(here),
    )


@blueprint.get("/l/<launch>/work/about/<key>")
@allow(Who.EARNER)
def about(visit: Visit, key: str) -> ResponseReturnValue:
    """Everything there is to know before starting, and again at any time."""
    offered = _offered(visit, key)
    if visit.activity.stack_id is not None and visit.part != key:
        return redirect(visit.url("choice.about", key=key, part=key), code=303)
    return about_page(visit, offered, attempt_of(visit))


@blueprint.post("/l/<launch>/work/start")
@allow(Who.EARNER)
def start(visit: Visit) -> ResponseReturnValue:
    """Begin, or go on here with what was begun before, here or in another course.

    Who has demonstrated it before says what becomes of that, as far as the activity leaves it to them.
    """
    chosen, now = _offered(visit, request.form.get("credential", "")), clock.now()
    here, anew = attempt_of(visit), request.form.get("earlier") == "anew"
    mine = queries.attempts_of(visit.person_id, [chosen.id]).get(chosen.id)
    if _earlier(visit, chosen, here, mine) is not None:
        may_use, may_do_anew = _ways_on(visit)
        if not (may_do_anew if anew else may_use and request.form.get("earlier") == "use"):
            return redirect(visit.url("choice.about", key=chosen.key), code=303)
    in_stack = visit.activity.stack_id is not None
    begin = begin_part if in_stack else partial(service.open_attempt, anew=anew)
    attempt = begin(
        visit.person_id,
        chosen.id,
        visit.activity.id,
        visit.account.id,
        rehearsal=visit.rehearsal,
        now=now,
    )
    begun, is_open = attempt.created_at == now, attempt.state in service.OPEN_STATES
    owe_here(attempt.id, visit.activity.id, now=now)
    db.session.commit()
    wake()
    onward = {"part": chosen.key} if in_stack else {}
    if is_open:
        notice = {"done": "started"} if begun else {}
        return redirect(visit.url("work.tasks", **onward, **notice), code=303)
    return redirect(visit.url("work.overview", **onward), code=303)


def attempt_of(visit: Visit) -> Attempt | None:
    """The work of this visit's person in its activity; in Student View, their rehearsal. In an activity that is a whole
    stack it is the work on the part that the page is about."""
    if visit.activity.stack_id is not None and visit.part is None:
        return None
    return queries.attempt_here(
        visit.person_id, visit.activity.id, rehearsal=visit.rehearsal, part=visit.part
    )


def switched_from(visit: Visit, attempt_id: int) -> bool:
    """Whether another tab has switched this activity from this work to another micro-credential of its choice."""
    here = attempt_of(visit)
    return visit.activity.stack_id is None and here is not None and here.id != attempt_id


def _ways_on(visit: Visit) -> tuple[bool, bool]:
    return ways_on(visit.activity.earlier_results, current().earlier_results)


def _earlier(
    visit: Visit, credential: Credential, here: Attempt | None, mine: Attempt | None
) -> EarlierResult | None:
    """A result from another course that has not been taken over here, nor left for doing everything anew. What counts
    towards a stack counts from wherever it was earned."""
    if visit.activity.stack_id is not None:
        return None
    begun_here = here is not None and here.version.credential_id == credential.id
    if visit.rehearsal or begun_here or mine is None or mine.state is not AttemptState.DEMONSTRATED:
        return None
    return earlier_result(mine.id, visit.activity.course_id)


def about_page(
    visit: Visit, credential: Credential, here: Attempt | None, *, version_id: int | None = None
) -> str:
    """What a micro-credential asks, with the way on from here. ``version_id``: of its current version, if known."""
    mine = None
    if not visit.newcomer:
        mine = queries.attempts_of(visit.person_id, [credential.id], rehearsal=visit.rehearsal).get(
            credential.id
        )
    version = published(mine.version_id if mine else version_id or current_id(credential.id))
    linked = here is not None and mine is not None and here.id == mine.id
    in_stack = visit.activity.stack_id is not None
    another = here is not None and here.version.credential_id != credential.id
    switching = another and not in_stack
    return render_template(
        "work/about.html",
        visit=visit,
        version=version,
        words=_words_of(version),
        credential=credential,
        points=None if in_stack else visit.activity.points_for(version),
        shut=_shut(visit, credential, mine),
        attempt=mine,
        linked=linked,
        choice=len(visit.activity.choices) > 1 and not in_stack,
        switching=switching,
        fixed=switching and here is not None and _handed_in(here),
        needed=PassRule(version.pass_kind, version.pass_percent).needed(len(version.criteria)),
        credit=said_of(version.id),
        stacks=stacks_asking(credential.id),
        assessed_by_one=ASSESSED_BY_ONE,
        taken_back=queries.taken_back(mine) if mine else None,
        step=0 if mine is None else 1,
        earlier=_earlier(visit, credential, here, mine),
        ways_on=_ways_on(visit),
    )


def _words_of(version: Version) -> _Words:
    words = _words.get(version)
    if words is None:
        macros: Any = current_app.jinja_env.get_template("components/credential.html").module
        words = _words[version] = _Words(
            macros.asked(version), macros.the_rubric(version), macros.meaning(version)
        )
    return words


def _handed_in(attempt: Attempt) -> bool:
    return any(row.withdrawn_at is None for row in attempt.submissions)


def _shut(visit: Visit, credential: Credential, mine: Attempt | None) -> str | None:
    """Why it cannot be begun, as a sentence; None where it can, or was."""
    if mine is not None:
        return None
    if credential.retired_at is not None:
        return "This micro-credential has been retired: nobody begins it any more."
    if visit.activity.stack_id is None:
        return None
    way = way_of(visit.person_id, stack_by_id(visit.activity.stack_id), rehearsal=visit.rehearsal)
    tile = way.tile(credential.key)
    return tile.why if tile is not None and tile.state is PartState.LOCKED else None


def _offered(visit: Visit, key: str) -> Credential:
    for choice in visit.activity.choices:
        if choice.credential.key == key:
            return choice.credential
    raise errors.NotHere
