"""A rehearsal: what faculty try as the test student of Canvas' Student View, and may empty to begin afresh.

Nothing that goes by the links of activities sees one, so it is in no list, count, gradebook, credit or export. Its own
table of links (:class:`lti_tool.submissions.models.Rehearsal`) is read here, by ``open_attempt``, ``hand_in`` and
``attempt_here``, and where faculty rate one.
"""

from collections.abc import Sequence

from sqlalchemy import delete, select

from lti_tool.credentials.models import PlacementChoice, Version
from lti_tool.database import db
from lti_tool.submissions.models import (
    Attempt,
    Evidence,
    PrivacyReport,
    Rehearsal,
    Response,
    Submission,
    SubmittedAnswer,
    SubmittedEvidence,
    SubmittedStatement,
)


def lock_all(person_id: int, placement_id: int) -> Sequence[int]:
    """Ids of the test student's rehearsals in this activity, those that were switched away from included.

    They and their submissions stay locked until the commit, so that nobody decides about what is being emptied.
    """
    offered = (
        select(Version.id)
        .join(PlacementChoice, PlacementChoice.credential_id == Version.credential_id)
        .where(PlacementChoice.placement_id == placement_id)
    )
    linked = select(Rehearsal.attempt_id).where(Rehearsal.placement_id == placement_id)
    found = db.session.scalars(
        select(Attempt.id)
        .where(
            Attempt.person_id == person_id,
            Attempt.rehearsal.is_(True),
            Attempt.version_id.in_(offered) | Attempt.id.in_(linked),
        )
        .order_by(Attempt.id)
        .with_for_update()
    ).all()
    db.session.execute(select(Submission.id).where(Submission.attempt_id.in_(found)).with_for_update())
    return found


def erase(attempt_ids: Sequence[int]) -> None:
    """Empty these rehearsals. Whatever was judged about them must be gone before.

    The bytes of their files stay in the evidence store, as those of any removed piece do: somebody else may have added
    the same.
    """
    rehearsals = select(Attempt.id).where(Attempt.id.in_(attempt_ids), Attempt.rehearsal.is_(True))
    submissions = select(Submission.id).where(Submission.attempt_id.in_(rehearsals))
    evidence = select(Evidence.id).where(Evidence.attempt_id.in_(rehearsals))
    for statement in (
        delete(PrivacyReport).where(PrivacyReport.evidence_id.in_(evidence)),
        delete(SubmittedAnswer).where(SubmittedAnswer.submission_id.in_(submissions)),
        delete(SubmittedEvidence).where(SubmittedEvidence.submission_id.in_(submissions)),
        delete(SubmittedStatement).where(SubmittedStatement.submission_id.in_(submissions)),
        delete(Submission).where(Submission.attempt_id.in_(rehearsals)),
        delete(Evidence).where(Evidence.attempt_id.in_(rehearsals)),
        delete(Response).where(Response.attempt_id.in_(rehearsals)),
        delete(Rehearsal).where(Rehearsal.attempt_id.in_(rehearsals)),
        delete(Attempt).where(Attempt.id.in_(attempt_ids), Attempt.rehearsal.is_(True)),
    ):
        db.session.execute(statement, execution_options={"synchronize_session": False})
    db.session.expire_all()
