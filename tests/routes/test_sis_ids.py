"""SIS ids from a registrar's file: what is read, what a preview says, and that it is saved once and whole."""

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from lti_tool import clock, tasks
from lti_tool.audit import AuditEvent
from lti_tool.database import db
from lti_tool.people import sis_files
from lti_tool.people.models import Account, Course, DeskAccess, Membership, SisFile
from tests.lti.platform_double import LTI
from tests.routes.earner import upload
from tests.routes.test_entry import LEARNER, Person, key, person, platform
from tests.support.cast import Campus, add_account, add_placement, simple_key
from tests.support.visits import Browser, visit_as

__all__ = ["key", "person", "platform"]
LIS = LTI + "lis"
IDS = {"by": "sub", "key": "0", "sis": "1"}
SECTIONS = {"by": "sub", "key": "0", "course": "1", "section": "2"}


@pytest.fixture(autouse=True)
def _without_sis_ids(app: Flask, campus: Campus) -> None:
    with app.app_context():
        db.session.execute(update(Account).values(sis_id=None))
        db.session.commit()


def put(browser: Browser, content: str | bytes, name: str = "ids.csv") -> TestResponse:
    data = content.encode() if isinstance(content, str) else content
    return browser.post("/ledger/sis-ids", {"file": upload(data, name)})


def preview(browser: Browser, columns: dict[str, str], **more: str) -> TestResponse:
    return browser.get("/ledger/sis-ids/preview", query_string=columns | more)


def digest(page: TestResponse) -> str:
    found = re.search(r'name="digest" value="(\w+)"', page.text)
    assert found is not None, page.text
    return found[1]


def confirm(browser: Browser, columns: dict[str, str]) -> TestResponse:
    shown = digest(preview(browser, columns))
    return browser.post("/ledger/sis-ids/preview", columns | {"digest": shown})


def ids(app: Flask) -> dict[str, str]:
    with app.app_context():
        found = select(Account.subject, Account.sis_id).where(Account.sis_id.is_not(None))
        return {subject: sis or "" for subject, sis in db.session.execute(found)}


def sections(app: Flask, campus: Campus) -> dict[str, str]:
    with app.app_context():
        found = (
            select(Account.subject, Membership.section_sis_id)
            .join(Membership, Membership.account_id == Account.id)
            .where(Membership.section_sis_id.is_not(None), Membership.course_id == campus.course)
        )
        return {subject: section or "" for subject, section in db.session.execute(found)}


def test_a_registrar_uploads_a_file_chooses_columns_sees_every_change_and_saves_it(
    app: Flask, campus: Campus
):
    rita = visit_as(app, campus, "rita")

    uploaded = put(rita, "LMS user id,SIS id\nlena,W100\nmateo,W200\n")
    columns = rita.get(uploaded.headers["Location"]).text
    shown = preview(rita, IDS)

    assert 'value="0" selected' in columns
    assert "UTF-8" in columns
    assert "Lena Brandt" in shown.text
    assert "W100" in shown.text
    assert ids(app) == {}

    saved = confirm(rita, IDS)

    assert saved.status_code == 303
    assert "Saved, and the file is deleted" in rita.get(saved.headers["Location"]).text
    assert ids(app) == {"lena": "W100", "mateo": "W200"}
    assert "Lena Brandt" in rita.post("/ledger/people", {"who": "W100"}).text
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(SisFile)) == 0


def test_sections_are_set_per_course_by_its_id_or_short_name_and_narrow_the_desk(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")

    put(
        rita,
        "who,course,section\nlena,c1,A-1\nlena,SPED 4500,A-2\nmateo,SPED 4500,A-1\naiko,nowhere,A-1\naiko,,A-1\n",
    )
    page = preview(rita, SECTIONS, show="nobody").text
    unclear = preview(rita, SECTIONS, show="unclear").text
    confirm(rita, SECTIONS)

    assert "No course here has the id or short name nowhere." in page
    assert "The line gives a section and no course." in unclear
    assert sections(app, campus) == {"lena": "A-1,A-2", "mateo": "A-1"}


def test_people_are_matched_by_known_sis_ids_as_in_an_extract_of_enrolments(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    put(rita, "LMS user id,SIS id\nlena,W100\n")
    confirm(rita, IDS)

    put(rita, "course_id,user_id,section_id\nSPED 4500,W100,A-7\n")
    guessed = rita.get("/ledger/sis-ids/columns").text
    confirm(rita, {"by": "sis", "key": "1", "course": "0", "section": "2"})

    assert re.search(r'value="sis"\s+checked', guessed)
    assert sections(app, campus) == {"lena": "A-7"}


WRITTEN = "LMS user id,SIS id\nlena,Ä-100\n"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(WRITTEN.encode("utf-8"), id="UTF-8"),
        pytest.param(WRITTEN.encode("utf-8-sig"), id="UTF-8 with its mark"),
        pytest.param(WRITTEN.encode("utf-16"), id="UTF-16 with its mark"),
        pytest.param(WRITTEN.encode("utf-16-le"), id="UTF-16 without, as little endian"),
        pytest.param(WRITTEN.encode("utf-16-be"), id="UTF-16 without, as big endian"),
        pytest.param(WRITTEN.encode("cp1252"), id="Windows-1252"),
        pytest.param(WRITTEN.replace(",", ";").encode(), id="semicolons"),
        pytest.param(WRITTEN.replace(",", "\t").encode(), id="tabs"),
        pytest.param(
            ("sep=;\n" + WRITTEN.replace(",", ";")).encode(), id="a first line that names the separator"
        ),
        pytest.param(WRITTEN.replace("\n", "\r\n").encode(), id="lines of Windows"),
        pytest.param(WRITTEN.replace("\n", "\r").encode(), id="lines of an old Mac"),
        pytest.param(
            '\n\n"LMS user id","SIS id"\n,\n\n"lena", Ä-100 \n'.encode(), id="quotes, blanks and empty lines"
        ),
        pytest.param("SIS id,SIS id\nlena,Ä-100\n".encode(), id="two columns of one name"),
        pytest.param('LMS user id,SIS id,"No\nte"\nlena,Ä-100,"a\nb"\n'.encode(), id="lines within quotes"),
    ],
)
def test_a_file_is_read_however_it_was_saved(app: Flask, campus: Campus, content: bytes):
    rita = visit_as(app, campus, "rita")

    assert put(rita, content).status_code == 303
    assert confirm(rita, IDS).status_code == 303

    assert ids(app) == {"lena": "Ä-100"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\xef\xbb\xbf", "Only one column"),
        (b"one\ntwo\n", "Only one column was found"),
        (b"a,b\n", "no lines below the names"),
        (b"a,b\n1,\x00\n", "Line 2 holds a NUL"),
        (b"PK\x03\x04rest", "This is a workbook"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "quotation marks are wrong in or after line 3"),
        (b"a,b\n1,\x81\n", "no text in UTF-8"),
        (b"\xff\xfea", "no text in UTF-8"),
        (b"a," * 200 + b"\n1,2\n", "more than 100 columns"),
        (b"a,b\n" + b"," * 150_000, "Line 2 is far too long"),
        (b"a,b\n" + b"x,y\n" * 200_001, "more than 200,000 lines"),
        (b"a,b\n" + b"x" * sis_files.MAX_BYTES, "larger than 10 MB"),
    ],
    ids=range(13),
)
def test_a_file_that_cannot_be_read_is_refused_with_what_to_do_and_nothing_is_kept(
    app: Flask, campus: Campus, content: bytes, said: str
):
    rita = visit_as(app, campus, "rita")

    with put(rita, content) as answer:
        assert answer.status_code == 422
        assert said in answer.text
        # A large one waits in a file of the test's own browser.
        answer.request.environ["wsgi.input"].close()

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(SisFile)) == 0


def test_no_file_at_all_is_said_in_words(app: Flask, campus: Campus):
    answer = visit_as(app, campus, "rita").post("/ledger/sis-ids", {})

    assert answer.status_code == 422
    assert "Choose the CSV file" in answer.text


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"by": "sub", "key": "", "sis": "1"}, "Choose columns that the file has"),
        ({"by": "sub", "key": "0", "sis": "7"}, "Choose columns that the file has"),
        ({"by": "sub", "key": "0"}, "Choose the column of the SIS ids"),
        ({"by": "sub", "key": "0", "sis": "0"}, "Each column can say one thing only"),
        ({"by": "sub", "key": "0", "section": "1"}, "A section belongs to a course"),
        ({"by": "sub", "key": "0", "sis": "1", "course": "2"}, "A course alone changes nothing"),
    ],
)
def test_columns_that_say_nothing_are_asked_for_again(
    app: Flask, campus: Campus, columns: dict[str, str], said: str
):
    rita = visit_as(app, campus, "rita")
    put(rita, "a,b,c\nlena,1,2\n")

    looked, pressed = preview(rita, columns), rita.post("/ledger/sis-ids/preview", columns | {"digest": "x"})

    assert (looked.status_code, pressed.status_code) == (422, 422)
    assert said in looked.text
    assert "Which column says what?" in pressed.text
    assert ids(app) == {}


def test_lines_that_contradict_match_nobody_or_cannot_be_used_are_told_and_passed_over(
    app: Flask, campus: Campus
):
    rita = visit_as(app, campus, "rita")
    lines = [
        "LMS user id,SIS id",
        "lena,1",
        "lena,2",
        "mateo,9",
        "aiko,9",
        "ingrid,5",
        "ingrid,5",
        "ghost,6",
        ",7",
        "ada,ada@example.edu",
        "rita,1.23E+11",
        "otto,8",
    ]
    put(rita, "\n".join(lines))

    unclear = preview(rita, IDS, show="unclear").text
    nobody = preview(rita, IDS, show="nobody").text
    again = preview(rita, IDS, show="again").text
    confirm(rita, IDS)

    assert "Line 2 gives 1, this line 2. Neither is saved." in unclear
    assert unclear.count("9 is or would be the SIS id of somebody else") == 2
    assert "Those are not asked for" in unclear
    assert "shortened this number" in unclear
    assert "ghost" in nobody
    assert "The line gives no LMS user id." in nobody
    # Otto is in a course without an activity of this deployment.
    assert "otto" in nobody
    assert "An earlier line says the same." in again
    assert ids(app) == {"ingrid": "5"}


def test_ids_change_hands_within_one_file_and_never_stand_twice(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    put(rita, "a,b\nlena,1\nmateo,2\naiko,3\n")
    confirm(rita, IDS)

    put(rita, "a,b\nlena,2\nmateo,1\n")
    confirm(rita, IDS)
    swapped = ids(app)
    # Aiko's keeps her from giving hers away, so Mateo cannot have it, and Lena not his.
    put(rita, "a,b\nlena,1\nmateo,3\naiko,5\ningrid,5\n")
    confirm(rita, IDS)

    assert swapped == {"lena": "2", "mateo": "1", "aiko": "3"}
    assert ids(app) == swapped


def test_what_the_lms_has_sent_is_not_changed_by_a_file(app: Flask, campus: Campus):
    with app.app_context():
        db.session.get_one(Account, campus.accounts["lena"]).sis_id = "from-the-lms"
        db.session.execute(
            update(Membership)
            .where(Membership.account_id == campus.accounts["lena"])
            .values(section_sis_id="from-the-lms")
        )
        db.session.commit()
    rita = visit_as(app, campus, "rita")
    both = IDS | {"course": "2", "section": "3"}
    put(rita, "a,b,c,d\nlena,W100,c1,A-1\nmateo,W200,c1,A-1\n")

    kept = preview(rita, both, show="kept").text
    confirm(rita, both)

    assert kept.count("The LMS says from-the-lms") == 2
    assert ids(app) == {"lena": "from-the-lms", "mateo": "W200"}
    assert sections(app, campus) == {"lena": "from-the-lms", "mateo": "A-1"}


def test_a_launch_without_a_sis_id_leaves_the_files_and_a_launch_with_one_takes_its_place(
    app: Flask, person: Person
):
    person.launch(LEARNER, **{LIS: {}})
    with app.app_context():
        (account,) = db.session.scalars(select(Account).where(Account.subject == "5"))
        (there,) = db.session.scalars(select(Membership).filter_by(account_id=account.id))
        account.sis_id, account.sis_by_file, account.name = "W100", True, "Renamed"
        there.section_sis_id, there.section_by_file, there.role = "A-1", True, "observer"
        db.session.commit()
        account_id, there_id = account.id, there.id

    def stands() -> tuple[Any, ...]:
        with app.app_context():
            account, there = db.session.get_one(Account, account_id), db.session.get_one(Membership, there_id)
            return (
                account.sis_id,
                account.sis_by_file,
                there.section_sis_id,
                there.section_by_file,
                there.role,
            )

    person.launch(LEARNER, **{LIS: {}})
    without = stands()
    said = {"person_sourcedid": "SIS-5", "course_section_sourcedid": "SIS-A"}
    person.launch(LEARNER, **{LIS: said})
    with_one = stands()
    person.launch(LEARNER, **{LIS: {}})

    assert without == ("W100", True, "A-1", True, "learner")
    assert with_one == ("SIS-5", False, "SIS-A", False, "learner")
    # What the platform has said itself, it may take back.
    assert stands() == (None, False, None, False, "learner")


def test_two_presses_save_once(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    put(rita, "a,b\nlena,W100\n")
    form = IDS | {"digest": digest(preview(rita, IDS))}

    first = rita.post("/ledger/sis-ids/preview", form)
    second = rita.post("/ledger/sis-ids/preview", form)

    assert "done=sis-saved" in first.headers["Location"]
    assert "No file of yours waits" in rita.get(second.headers["Location"]).text
    with app.app_context():
        saved = select(func.count()).where(AuditEvent.action == "file of SIS ids saved")
        assert db.session.scalar(saved) == 1


def test_nothing_is_saved_if_people_or_the_file_have_changed_since_the_preview(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    put(rita, "a,b\nlena,W100\nmateo,W200\n")
    form = IDS | {"digest": digest(preview(rita, IDS))}
    with app.app_context():
        db.session.get_one(Account, campus.accounts["mateo"]).sis_id = "from-the-lms"
        db.session.commit()

    changed = rita.post("/ledger/sis-ids/preview", form)

    assert changed.status_code == 409
    assert "Nothing was saved: the list has changed" in changed.text
    assert ids(app) == {"mateo": "from-the-lms"}
    assert rita.post("/ledger/sis-ids/preview", IDS | {"digest": digest(changed)}).status_code == 303
    assert ids(app) == {"lena": "W100", "mateo": "from-the-lms"}


def test_the_log_holds_counts_and_ids_and_no_name_or_sis_id(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    put(rita, "a,b\nlena,W100\nghost,W200\n")
    confirm(rita, IDS)

    with app.app_context():
        events = {
            event.action: event for event in db.session.scalars(select(AuditEvent)) if "SIS" in event.action
        }
        said = str([event.details for event in events.values()])
        assert events["SIS ids set from file"].details == {"accounts": [campus.accounts["lena"]]}
        whole = events["file of SIS ids saved"]
        assert (whole.actor_account_id, whole.subject_id) == (campus.accounts["rita"], str(campus.deployment))
        assert (whole.details["people"], whole.details["nobody"]) == (1, 1)
        assert not any(word in said for word in ("W100", "W200", "Lena", "lena", "ghost"))


def test_a_file_is_its_owners_alone_and_goes_after_an_hour_or_when_told(
    app: Flask, campus: Campus, monkeypatch: pytest.MonkeyPatch
):
    rita, colleague = visit_as(app, campus, "rita"), visit_as(app, campus, "ada")
    with app.app_context():
        db.session.add(DeskAccess(deployment_pk=campus.deployment, subject="ada", granted_at=clock.now()))
        db.session.commit()
    put(rita, "a,b\nlena,W100\n")

    assert "A file of yours waits" in rita.get("/ledger/sis-ids").text
    assert "A file of yours waits" not in colleague.get("/ledger/sis-ids").text
    assert colleague.get("/ledger/sis-ids/columns").status_code == 303
    assert colleague.post("/ledger/sis-ids/preview", IDS | {"digest": "x"}).status_code == 303

    rita.post("/ledger/sis-ids/forget")
    assert preview(rita, IDS).status_code == 303

    put(rita, "a,b\nlena,W100\n")
    later = clock.now() + timedelta(hours=1, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert preview(rita, IDS).status_code == 303
    tasks.sweep_launches(app)
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(SisFile)) == 0
    assert ids(app) == {}


def test_people_are_downloaded_with_what_is_known_and_the_filled_file_is_read_again(
    app: Flask, campus: Campus
):
    with app.app_context():
        course = db.session.get_one(Course, campus.course)
        odd = add_account(course.platform_id, "=odd", "=1+1")
        odd.sis_id = None
        db.session.add(
            Membership(course_id=course.id, account_id=odd.id, role="learner", seen_at=clock.now())
        )
        db.session.commit()
    rita = visit_as(app, campus, "rita")

    with rita.get("/ledger/people.csv", buffered=True) as answer:
        file = answer.data.decode("utf-8-sig")
    assert "otto" not in file
    put(rita, file.replace("'=odd,'=1+1,", "'=odd,'=1+1,'-77").encode("utf-8-sig"))
    columns = rita.get("/ledger/sis-ids/columns").text
    confirm(rita, {"by": "sub", "key": "0", "sis": "2", "course": "3", "section": "5"})

    assert file.splitlines()[0] == "LMS user id,Name,SIS id,LMS course id,Course,Section"
    assert columns.count(" selected") >= 4
    assert ids(app) == {"=odd": "-77"}


def test_long_lists_are_shown_a_page_at_a_time(app: Flask, campus: Campus):
    rita = visit_as(app, campus, "rita")
    put(rita, "a,b\n" + "".join(f"ghost-{at},{at}\n" for at in range(120)))

    first, last = preview(rita, IDS).text, preview(rita, IDS, page="3").text

    assert "Matches nobody" in first
    assert first.count("Nobody here has this") == 50
    assert last.count("Nobody here has this") == 20
    assert "Page 3 of 3" in last


def test_a_course_that_two_are_called_by_is_named_as_unclear(app: Flask, campus: Campus):
    with app.app_context():
        platform_id = db.session.get_one(Course, campus.course).platform_id
        twin = Course(
            platform_id=platform_id, context_id="c3", label="SPED 4500", title="Again", created_at=clock.now()
        )
        db.session.add(twin)
        db.session.flush()
        add_placement(campus.deployment, twin.id, "link-3", simple_key())
        db.session.commit()
    rita = visit_as(app, campus, "rita")
    put(rita, "who,course,section\nlena,SPED 4500,A-1\nmateo,c3,A-1\n")

    unclear, nobody = (preview(rita, SECTIONS, show=show).text for show in ("unclear", "nobody"))

    assert "2 courses here are called SPED 4500" in unclear
    assert "Not seen in c3 so far." in nobody


def test_a_file_may_be_as_large_as_is_promised():
    line = "somebody-with-a-long-id,W1234567,and some more text of a system\n"
    most = (sis_files.MAX_BYTES - 100) // len(line)

    table = sis_files.read(("a,b,c\n" + line * most).encode())

    assert table.lines == most <= sis_files.MOST_LINES
