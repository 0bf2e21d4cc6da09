"""The pages of the LMS: who one is, the course, its people, the gradebook, the administrator's desk."""

from datetime import UTC, datetime
from sqlite3 import Connection, Row
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, flash, g, jsonify, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

from lti_tool.practice_lms import courses, store
from lti_tool.practice_lms.launches import may_open, signed_in
from lti_tool.practice_lms.platform import COURSE_TITLE, SCHOOL, Lms, current
from lti_tool.practice_lms.services import only_local

ROLE_NAMES = {"instructor": "Instructor", "learner": "Learner", "administrator": "Administrator"}
COURSE_STATES = {"published": "Published", "unpublished": "Unpublished", "concluded": "Concluded"}


def register(app: Flask, lms: Lms) -> None:
    app.add_url_rule("/", view_func=choose_person)
    app.add_url_rule("/person", view_func=become, methods=["POST"])
    app.add_url_rule("/student-view", view_func=student_view, methods=["POST"])
    app.add_url_rule("/student-view/leave", view_func=leave_student_view, methods=["POST"])
    app.add_url_rule("/course", view_func=course)
    app.add_url_rule("/course/copy", view_func=copy_course, methods=["POST"])
    app.add_url_rule("/courses/<int:number>", view_func=go_to_course, methods=["POST"])
    app.add_url_rule("/course/state", view_func=set_course_state, methods=["POST"])
    app.add_url_rule("/course/late-policy", view_func=set_late_policy, methods=["POST"])
    app.add_url_rule("/activity/<int:activity_id>/due", view_func=set_due, methods=["POST"])
    app.add_url_rule("/course/add", view_func=add_activity)
    app.add_url_rule("/activity/<int:activity_id>", view_func=activity)
    app.add_url_rule("/activity/<int:activity_id>/publish", view_func=publish, methods=["POST"])
    app.add_url_rule("/activity/<int:activity_id>/attempts", view_func=limit_attempts, methods=["POST"])
    app.add_url_rule("/activity/<int:activity_id>/delete", view_func=delete, methods=["POST"])
    app.add_url_rule("/people", view_func=people)
    app.add_url_rule("/people/<int:person_id>/enrolment", view_func=enrol, methods=["POST"])
    app.add_url_rule("/gradebook", view_func=gradebook)
    app.add_url_rule("/gradebook.json", view_func=gradebook_json)
    app.add_url_rule("/gradebook/<int:item_id>/<int:person_id>", view_func=grade_form)
    app.add_url_rule("/gradebook/<int:item_id>/<int:person_id>", view_func=set_grade, methods=["POST"])
    app.add_url_rule("/gradebook/<int:item_id>/<int:person_id>/review", view_func=review)
    app.add_url_rule("/administration", view_func=administration)
    app.add_url_rule("/administration/open", view_func=open_administration)
    for status in (403, 404):
        app.register_error_handler(status, _refused)
    app.after_request(_protect)
    app.context_processor(
        lambda: {
            "lms": lms,
            "school": SCHOOL,
            "course_title": g.course["title"] if "course" in g else COURSE_TITLE,
            "tool": lms.config.tool_name,
            "storage": lms.behaviour.storage_frame,
        }
    )


def _protect(answer: Response) -> Response:
    lms = current()
    frames = [_origin(address) for address in (lms.config.tool_launch_url, lms.behaviour.auth_url) if address]
    answer.headers.setdefault(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        f" frame-src 'self' {' '.join(frames)};"
        " frame-ancestors 'self'; base-uri 'none'",
    )
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    return answer


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _refused(error: Exception) -> tuple[str, int]:
    status = getattr(error, "code", 404)
    problem = {
        403: "The person you have chosen may not do this, or nobody is chosen yet.",
        404: "There is no such page, or the person you have chosen cannot see it.",
    }[status]
    return render_template("problem.html", problem=problem, frame=request.path.startswith("/frame/")), status


def _person(db: Connection, *roles: str) -> Row:
    """The chosen person, if in one of these roles."""
    chosen = signed_in(db)
    if chosen is None or (roles and chosen["role"] not in roles):
        abort(403)
    courses.enter(courses.chosen(db))
    return chosen


def _page(template: str, person: Row | None, **values: Any) -> str:
    in_student_view = person is not None and person["username"] == store.TEST_STUDENT
    return render_template(
        template, person=person, role_names=ROLE_NAMES, in_student_view=in_student_view, **values
    )


def _go(path: str) -> AnyResponse:
    return redirect(path, code=303)


# --- who one is


def choose_person() -> str:
    with current().store.transaction() as db:
        return _page("choose.html", signed_in(db), people=store.people(db))


def become() -> AnyResponse:
    with current().store.transaction() as db:
        person = store.person(db, request.form.get("person", type=int))
    if person is None:
        abort(404)
    session["person"] = person["id"]
    session.pop("in_student_view", None)
    return _go("/administration" if person["role"] == "administrator" else "/course")


def student_view() -> AnyResponse:
    """Let an instructor see the course as the test student does, where the product has one."""
    lms = current()
    with lms.store.transaction() as db:
        teacher = _person(db, "instructor")
        student = lms.behaviour.test_student(db)
        if student is None:
            abort(404)
    session["person"], session["in_student_view"] = student["id"], teacher["id"]
    return _go("/course")


def leave_student_view() -> AnyResponse:
    teacher = session.pop("in_student_view", None)
    if teacher is not None:
        session["person"] = teacher
    return _go("/course")


# --- the course


def course() -> str:
    lms = current()
    with lms.store.transaction() as db:
        person = _person(db)
        shown = [
            activity for activity in store.activities(db, courses.here()["id"]) if may_open(person, activity)
        ]
        return _page(
            "course.html",
            person,
            activities=shown,
            courses=courses.courses(db),
            here=courses.here(),
            state=lms.course_state(db),
            states=COURSE_STATES,
            late_percent=lms.late_percent(db),
            enrolled=bool(person["enrolled"]) or person["role"] == "administrator",
        )


def go_to_course(number: int) -> AnyResponse:
    with current().store.transaction() as db:
        _person(db)
        if courses.course(db, number) is None:
            abort(404)
    session["course"] = number
    return _go("/course")


def copy_course() -> AnyResponse:
    """Copy the course as the product does; without what links say of themselves, as some imports do."""
    behaviour = current().behaviour
    with current().store.transaction() as db:
        _person(db, "instructor", "administrator")
        keep = request.form.get("custom", "keep") == "keep"
        copy = behaviour.copy_course(db, courses.here(), keep_custom=keep)
        behaviour.copied(db, copy)
    session["course"] = copy["id"]
    flash(f"This is {copy['title']}: the same activities, and nobody’s grades.")
    return _go("/course")


def set_course_state() -> AnyResponse:
    state = request.form.get("state", "")
    if state not in COURSE_STATES:
        abort(404)
    with current().store.transaction() as db:
        _person(db, "instructor")
        store.set_setting(db, "course_state", state)
    flash(f"The course is now {COURSE_STATES[state].lower()}.")
    return _go("/course")


def set_late_policy() -> AnyResponse:
    """Canvas takes points off late work by itself where the course has such a policy."""
    text = request.form.get("percent", "").strip()
    if not (text.isdecimal() and int(text) <= 100):
        flash("Write the late policy as whole percent, from 0 to 100. Nothing was changed.")
        return _go("/course")
    with current().store.transaction() as db:
        _person(db, "instructor")
        store.set_setting(db, "late_percent", text)
    flash(
        f"Late work now loses {int(text)} % of the points a day." if int(text) else "There is no late policy."
    )
    return _go("/course")


def set_due(activity_id: int) -> AnyResponse:
    """Say when an activity is due, in UTC; nothing takes the date away."""
    text = request.form.get("due", "").strip()
    try:
        due = datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        flash(f"“{text}” is no day and time. Nothing was changed.")
        return _go("/course")
    with current().store.transaction() as db:
        _person(db, "instructor")
        if store.activity(db, activity_id) is None:
            abort(404)
        said = None if due is None else f"{due:%Y-%m-%dT%H:%M:%SZ}"
        db.execute("UPDATE activity SET due_at = ? WHERE id = ?", (said, activity_id))
    flash("The due date was set." if due else "There is no due date.")
    return _go("/course")


def _frame_page(person: Row, title: str, source: str) -> str:
    origin = _origin(current().config.tool_launch_url)
    return _page("frame.html", person, title=title, source=source, tool_origin=origin)


def activity(activity_id: int) -> str:
    with current().store.transaction() as db:
        person, found = _person(db), store.activity(db, activity_id)
        if found is None or not may_open(person, found) or not found["url"]:
            abort(404)
        return _frame_page(person, found["title"], f"/frame/activity/{activity_id}")


def add_activity() -> str:
    with current().store.transaction() as db:
        person = _person(db, "instructor")
        source = "/frame/add?several=1" if "several" in request.args else "/frame/add"
        return _frame_page(person, f"Add from {current().config.tool_name}", source)


def _own_activity(db: Connection, activity_id: int) -> Row:
    _person(db, "instructor")
    found = store.activity(db, activity_id)
    if found is None or found["kind"] != "activity":
        abort(404)
    return found


def publish(activity_id: int) -> AnyResponse:
    published = request.form.get("published") == "1"
    with current().store.transaction() as db:
        found = _own_activity(db, activity_id)
        db.execute("UPDATE activity SET published = ? WHERE id = ?", (int(published), activity_id))
    flash(f"{found['title']} is {'published: learners see it now' if published else 'hidden from learners'}.")
    return _go("/course")


def limit_attempts(activity_id: int) -> AnyResponse:
    attempts = request.form.get("attempts", type=int)
    with current().store.transaction() as db:
        found = _own_activity(db, activity_id)
        db.execute("UPDATE activity SET allowed_attempts = ? WHERE id = ?", (attempts, activity_id))
    flash(f"{found['title']}: {attempts or 'any number of'} attempts allowed.")
    return _go("/course")


def delete(activity_id: int) -> AnyResponse:
    with current().store.transaction() as db:
        found = _own_activity(db, activity_id)
        store.delete_activity(db, activity_id)
    flash(f"{found['title']} and its gradebook column were deleted.")
    return _go("/course")


# --- people


def people() -> str:
    with current().store.transaction() as db:
        return _page("people.html", _person(db, "instructor", "administrator"), people=store.people(db))


def enrol(person_id: int) -> AnyResponse:
    enrolled = request.form.get("enrolled") == "1"
    with current().store.transaction() as db:
        _person(db, "instructor")
        learner = store.person(db, person_id)
        if learner is None or learner["role"] != "learner":
            abort(404)
        db.execute("UPDATE person SET enrolled = ? WHERE id = ?", (int(enrolled), person_id))
    flash(f"{learner['given']} {learner['family']} {'is back in' if enrolled else 'has left'} the course.")
    return _go("/people")


# --- grades


def _columns(db: Connection) -> list[Row]:
    """Line items that have a gradebook column: in Canvas, only an activity's first."""
    canvas = current().config.behaviour == "canvas"
    return [item for item in store.line_items(db, courses.here()["id"]) if item["is_main"] or not canvas]


def gradebook() -> str:
    with current().store.transaction() as db:
        person = _person(db)
        items, cells = (
            _columns(db),
            {(cell["line_item_id"], cell["person_id"]): cell for cell in store.grades(db)},
        )
        if person["role"] == "learner":
            shown = [item for item in items if item["published"] or item["activity_id"] is None]
            return _page("my_grades.html", person, items=shown, cells=cells)
        return _page(
            "gradebook.html",
            person,
            items=items,
            cells=cells,
            learners=store.learners(db),
            reviewed=current().behaviour.review,
        )


def gradebook_json() -> Response:
    with current().store.transaction() as db:
        courses.enter(courses.course(db, request.args.get("course", type=int)) or courses.chosen(db))
        if not only_local():
            _person(db, "instructor", "administrator")
        items = {item["id"]: item for item in _columns(db)}
        names = {row["id"]: row for row in db.execute("SELECT * FROM person")}
        cells = [cell for cell in store.grades(db) if cell["line_item_id"] in items]
    return jsonify(
        [
            {
                "activity": items[cell["line_item_id"]]["label"],
                "line_item": cell["line_item_id"],
                "learner": f"{names[cell['person_id']]['given']} {names[cell['person_id']]['family']}",
                "user_id": names[cell["person_id"]]["sub"],
                "score": cell["score"],
                "maximum": items[cell["line_item_id"]]["maximum"],
                "comment": cell["comments"][-1] if cell["comments"] else None,
                "comments": cell["comments"],
                "attempt": cell["attempt"],
                "submitted_at": cell["submitted_at"],
                "timestamp": cell["sent_at"],
                "overridden": bool(cell["overridden"]),
                "deducted": cell["deducted"],
            }
            for cell in cells
        ]
    )


def review(item_id: int, person_id: int) -> str:
    """Work that was handed in at the tool, in a frame beside whose it is."""
    with current().store.transaction() as db:
        item, learner, _ = _cell(db, item_id, person_id)
        title = f"{learner['given']} {learner['family']}: {item['label']}"
        return _frame_page(_person(db), title, f"/frame/review/{item_id}/{person_id}")


def _cell(db: Connection, item_id: int, person_id: int) -> tuple[Row, Row, dict[str, Any]]:
    _person(db, "instructor")
    item, learner = store.line_item(db, item_id), store.person(db, person_id)
    if item is None or learner is None or learner["role"] != "learner":
        abort(404)
    return item, learner, store.grade(db, item_id, person_id)


def grade_form(item_id: int, person_id: int) -> str:
    with current().store.transaction() as db:
        item, learner, cell = _cell(db, item_id, person_id)
        return _page("grade.html", signed_in(db), item=item, learner=learner, cell=cell)


def set_grade(item_id: int, person_id: int) -> AnyResponse:
    text = request.form.get("score", "").strip().replace(",", ".")
    try:
        score = float(text) if text else None
    except ValueError:
        flash(f"“{text}” is not a number. Nothing was changed.")
        return _go(request.path)
    with current().store.transaction() as db:
        item, learner, cell = _cell(db, item_id, person_id)
        current().behaviour.override(db, cell, score, request.form.get("comment", "").strip())
    flash(f"The grade of {learner['given']} {learner['family']} for {item['label']} was set by hand.")
    return _go("/gradebook")


# --- the administrator


def administration() -> str:
    with current().store.transaction() as db:
        return _page("administration.html", _person(db, "administrator"), registration=current().registration)


def open_administration() -> str:
    with current().store.transaction() as db:
        person = _person(db, "administrator")
        return _frame_page(person, f"{current().config.tool_name} (administration)", "/frame/administration")
