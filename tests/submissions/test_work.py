"""The verbs of the earner's work, where two act at once and where something must never happen twice."""

import io
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select

from lti_tool import errors
from lti_tool.audit import AuditEvent
from lti_tool.credentials.models import Credential, Placement, Task
from lti_tool.database import db
from lti_tool.submissions import queries, service, store
from lti_tool.submissions.models import Attempt, AttemptPlacement, AttemptState, Evidence, Submission
from tests.support.apps import NOON
from tests.support.cast import Campus, add_placement

PDF = b"%PDF-1.7 a plan"
CONFIRMED = frozenset({"own_work", "no_names", "no_one_else"})


@dataclass
class Work:
    """Lena's work, begun."""

    campus: Campus
    attempt_id: int
    person: int
    account: int

    @property
    def attempt(self) -> Attempt:
        return db.session.get_one(Attempt, self.attempt_id, populate_existing=True)

    def tasks(self, kind: str) -> list[Task]:
        version = self.attempt.version_id
        return list(db.session.scalars(select(Task).where(Task.version_id == version, Task.kind == kind)))

    def save(self, text: str, revision: int, *, now: datetime = NOON) -> Attempt:
        return service.save_draft(
            self.attempt_id, {self.tasks("written")[0].key: text}, "", revision, now=now
        )

    def add(self, content: bytes = PDF, name: str = "plan.pdf") -> Evidence:
        key = self.tasks("evidence")[0].key
        return service.add_upload(self.attempt_id, key, name, io.BytesIO(content), now=NOON)

    def complete(self) -> None:
        answers = {task.key: " ".join(["word"] * (task.words_min or 1)) for task in self.tasks("written")}
        service.save_draft(self.attempt_id, answers, "", self.attempt.revision, now=NOON)
        for task in self.tasks("evidence"):
            content = PDF + task.key.encode()
            service.add_upload(self.attempt_id, task.key, "plan.pdf", io.BytesIO(content), now=NOON)

    def hand_in(self) -> Submission:
        return service.hand_in(self.attempt_id, self.person, CONFIRMED, now=NOON)


@pytest.fixture
def work(app: Flask, campus: Campus):
    with app.app_context():
        person, account = campus.persons["lena"], campus.accounts["lena"]
        placement = db.session.get_one(Placement, campus.placement)
        attempt = service.open_attempt(
            person, placement.choices[0].credential_id, placement.id, account, now=NOON
        )
        yield Work(campus, attempt.id, person, account)


def test_another_course_finds_the_same_work_and_links_its_gradebook(work: Work):
    key = work.attempt.version.credential.key
    elsewhere = add_placement(work.campus.deployment, work.campus.other_course, "link-2", key)

    found = service.open_attempt(
        work.person, work.attempt.version.credential_id, elsewhere.id, work.account, now=NOON
    )

    assert found.id == work.attempt_id
    assert [link.placement_id for link in found.links] == [work.campus.placement, elsewhere.id]


def test_opening_twice_begins_once(work: Work):
    service.open_attempt(
        work.person, work.attempt.version.credential_id, work.campus.placement, work.account, now=NOON
    )

    assert db.session.scalar(select(func.count()).select_from(Attempt)) == 1
    assert db.session.scalar(select(func.count()).select_from(AttemptPlacement)) == 1


def test_an_activity_begins_only_what_it_offers(work: Work):
    other = db.session.scalars(
        select(Credential).where(Credential.id != work.attempt.version.credential_id)
    ).first()

    with pytest.raises(errors.NotHere):
        service.open_attempt(work.person, other.id, work.campus.placement, work.account, now=NOON)


def test_a_draft_may_be_switched_for_another_choice_and_is_kept(work: Work):
    keys = list(db.session.scalars(select(Credential.key).order_by(Credential.id)))[:2]
    choice = add_placement(work.campus.deployment, work.campus.course, "link-choice", *keys)
    first, second = (row.credential_id for row in choice.choices)
    begun = service.open_attempt(work.person, first, choice.id, work.account, now=NOON)

    service.open_attempt(work.person, second, choice.id, work.account, now=NOON)
    service.open_attempt(work.person, first, choice.id, work.account, now=NOON)

    here = queries.attempt_here(work.person, choice.id)
    assert here is not None
    assert here.id == begun.id


def test_what_was_handed_in_cannot_be_switched(work: Work):
    keys = list(db.session.scalars(select(Credential.key).order_by(Credential.id)))
    choice = add_placement(work.campus.deployment, work.campus.course, "link-choice", *keys)
    service.open_attempt(work.person, work.attempt.version.credential_id, choice.id, work.account, now=NOON)
    work.complete()
    work.hand_in()
    other = next(
        row.credential_id for row in choice.choices if row.credential_id != work.attempt.version.credential_id
    )

    with pytest.raises(errors.WorkClosed):
        service.open_attempt(work.person, other, choice.id, work.account, now=NOON)


def test_a_save_over_a_newer_one_writes_nothing(work: Work):
    work.save("from the first tab", 0)

    with pytest.raises(errors.ChangedElsewhere):
        work.save("from the second tab", 0)
    assert [row.text for row in work.attempt.responses] == ["from the first tab"]


def test_the_same_words_sent_twice_are_no_conflict(work: Work):
    work.save("the same\r\nwords", 0)

    assert work.save("the same\nwords", 0).revision == 1


def test_a_byte_that_no_database_takes_does_not_cost_the_answer(work: Work):
    work.save("pasted\x00 from a PDF", 0)

    assert [row.text for row in work.attempt.responses] == ["pasted from a PDF"]


def test_the_same_file_twice_is_one_piece(work: Work):
    assert work.add().id == work.add(name="again.pdf").id


def test_more_files_than_the_task_takes_are_refused(work: Work):
    task = work.tasks("evidence")[0]
    for number in range(task.max_files):
        work.add(PDF + bytes([number]))

    with pytest.raises(errors.TooManyFiles):
        work.add(PDF + b"one more")


def test_removing_makes_room_and_removing_again_is_no_error(work: Work):
    task = work.tasks("evidence")[0]
    pieces = [work.add(PDF + bytes([number])) for number in range(task.max_files)]

    service.remove_evidence(work.attempt_id, pieces[0].id, now=NOON)
    service.remove_evidence(work.attempt_id, pieces[0].id, now=NOON)

    assert work.add(PDF + b"one more").id


def test_nobody_removes_evidence_of_another_work(work: Work):
    piece = work.add()
    other = service.open_attempt(
        work.campus.persons["mateo"],
        work.attempt.version.credential_id,
        work.campus.placement,
        work.campus.accounts["mateo"],
        now=NOON,
    )

    with pytest.raises(errors.NotHere):
        service.remove_evidence(other.id, piece.id, now=NOON)


def test_evidence_is_kept_by_its_content(work: Work):
    piece = work.add()

    with store.open(piece.digest or "") as file:
        assert file.read() == PDF


def test_incomplete_work_is_not_handed_in_and_nothing_is_written(work: Work):
    with pytest.raises(errors.WorkIncomplete) as refusal:
        work.hand_in()

    assert len(refusal.value.missing) == len(service.missing(work.attempt))
    assert work.attempt.state is AttemptState.DRAFT
    assert work.attempt.submissions == []


def test_statements_are_part_of_what_is_missing(work: Work):
    work.complete()

    with pytest.raises(errors.WorkIncomplete) as refusal:
        service.hand_in(work.attempt_id, work.person, {"own_work", "no_names"}, now=NOON)

    assert refusal.value.missing == ("Please say whether other people appear in your evidence.",)


def test_handing_in_twice_makes_one_submission(work: Work):
    work.complete()
    work.hand_in()

    with pytest.raises(errors.WorkClosed):
        work.hand_in()
    assert [row.number for row in work.attempt.submissions] == [1]


def test_nobody_hands_in_another_person_s_work(work: Work):
    work.complete()

    with pytest.raises(errors.NotHere):
        service.hand_in(work.attempt_id, work.campus.persons["mateo"], CONFIRMED, now=NOON)


def test_after_handing_in_nothing_can_be_changed(work: Work):
    piece = work.add()
    work.complete()
    work.hand_in()

    with pytest.raises(errors.WorkClosed):
        work.save("too late", work.attempt.revision)
    with pytest.raises(errors.WorkClosed):
        work.add(PDF + b"too late")
    with pytest.raises(errors.WorkClosed):
        service.remove_evidence(work.attempt_id, piece.id, now=NOON)


def test_a_submission_keeps_what_was_handed_in_whatever_follows(work: Work):
    work.complete()
    submission = work.hand_in()
    service.settle(submission.id, AttemptState.NOT_YET, now=NOON)
    before = {row.task_id: row.text for row in submission.answers}

    work.save("quite different words", work.attempt.revision)
    for piece in work.attempt.evidence:
        service.remove_evidence(work.attempt_id, piece.id, now=NOON)

    frozen = queries.frozen(submission.id)
    assert {row.task_id: row.text for row in frozen.submission.answers} == before
    assert all(task.pieces for part in frozen.parts for task in part.tasks if not task.written)
    assert any("my own work" in wording for wording in frozen.statements)


def test_a_decision_settles_the_work_once(work: Work):
    work.complete()
    submission = work.hand_in()

    service.settle(submission.id, AttemptState.NOT_YET, now=NOON)

    with pytest.raises(errors.AlreadyDecided):
        service.settle(submission.id, AttemptState.DEMONSTRATED, now=NOON)
    assert work.attempt.state is AttemptState.NOT_YET


def test_an_old_submission_cannot_be_decided_while_a_newer_one_waits(work: Work):
    work.complete()
    first = work.hand_in()
    service.settle(first.id, AttemptState.NOT_YET, now=NOON)
    work.hand_in()

    with pytest.raises(errors.AlreadyDecided):
        service.settle(first.id, AttemptState.DEMONSTRATED, now=NOON)


def test_a_privacy_problem_takes_the_waiting_work_back_and_uses_up_no_try(work: Work):
    work.complete()
    submission = work.hand_in()
    piece = submission.evidence[0].evidence

    service.report_privacy_problem(piece.id, work.account, "A face", now=NOON)

    assert work.attempt.state is AttemptState.DRAFT
    assert submission.withdrawn_at == NOON
    with pytest.raises(errors.SubmissionWithdrawn):
        service.settle(submission.id, AttemptState.DEMONSTRATED, now=NOON)


def test_after_a_privacy_problem_the_hidden_piece_counts_as_missing(work: Work):
    work.complete()
    piece = work.hand_in().evidence[0].evidence

    service.report_privacy_problem(piece.id, work.account, "", now=NOON)

    assert [item.field for item in service.missing(work.attempt)] == [f"file-{piece.task.key}"]


def test_work_that_was_judged_before_returns_to_where_it_was(work: Work):
    work.complete()
    service.settle(work.hand_in().id, AttemptState.NOT_YET, now=NOON)
    second = work.hand_in()

    service.report_privacy_problem(second.evidence[0].evidence_id, work.account, "", now=NOON)

    assert work.attempt.state is AttemptState.NOT_YET
    assert [row.withdrawn_at for row in work.attempt.submissions] == [None, NOON]


def test_a_problem_in_evidence_that_does_not_wait_only_hides_it(work: Work):
    work.complete()
    submission = work.hand_in()
    service.settle(submission.id, AttemptState.DEMONSTRATED, now=NOON)

    service.report_privacy_problem(submission.evidence[0].evidence_id, work.account, "", now=NOON)

    assert work.attempt.state is AttemptState.DEMONSTRATED
    assert submission.withdrawn_at is None


def test_two_reports_of_one_piece_are_one(work: Work):
    piece = work.add()

    first = service.report_privacy_problem(piece.id, work.account, "", now=NOON)
    second = service.report_privacy_problem(piece.id, work.account, "", now=NOON + timedelta(seconds=1))

    assert first.id == second.id


def test_faculty_restore_a_piece_or_keep_it_hidden_once(work: Work):
    piece = work.add()
    report = service.report_privacy_problem(piece.id, work.account, "", now=NOON)
    ingrid = work.campus.accounts["ingrid"]

    service.resolve_privacy_report(report.id, ingrid, "restored", now=NOON)

    db.session.refresh(piece)
    assert piece.hidden_at is None
    with pytest.raises(errors.AlreadyDecided):
        service.resolve_privacy_report(report.id, ingrid, "removed", now=NOON)


def test_starting_handing_in_and_hiding_stand_in_the_audit_without_words(work: Work):
    work.complete()
    submission = work.hand_in()
    service.report_privacy_problem(submission.evidence[0].evidence_id, work.account, "A secret", now=NOON)

    events = db.session.scalars(
        select(AuditEvent)
        .where(AuditEvent.subject_type.in_(("attempt", "submission", "evidence")))
        .order_by(AuditEvent.id)
    ).all()
    assert [event.action for event in events] == [
        "work started", "work handed in", "submission taken back", "privacy problem reported",
    ]  # fmt: skip
    assert "secret" not in str([event.details for event in events])
