"""Who may open the desk of a deployment, and who could be let in, for the administrators' pages."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from lti_tool.database import db
from lti_tool.lti.models import Deployment, Launch, Registration
from lti_tool.people.models import Account, DeskAccess

_SHOWN = 100


@dataclass(frozen=True)
class DeskLine:
    """Somebody who may open the desk, or an administrator who could; ``since`` is None for one who is not on the
    access list."""

    subject: str
    name: str
    since: datetime | None
    invited: bool = False


def on_the_list(deployment_pk: int) -> list[DeskLine]:
    """Those who may open the desk of a deployment, the first who were let in first; at most 100."""
    listed = db.session.execute(
        select(DeskAccess.subject, DeskAccess.granted_at, DeskAccess.invited, Account.name)
        .join(Deployment, DeskAccess.deployment_pk == Deployment.id)
        .join(Registration, Deployment.registration_id == Registration.id)
        .outerjoin(
            Account,
            (Account.platform_id == Registration.platform_id) & (Account.subject == DeskAccess.subject),
        )
        .where(DeskAccess.deployment_pk == deployment_pk)
        .order_by(DeskAccess.id)
        .limit(_SHOWN)
    )
    return [DeskLine(subject, name or subject, since, invited) for subject, since, invited, name in listed]


def could_be(deployment_pk: int) -> list[DeskLine]:
    """Administrators of the platform who have come from this deployment lately and are not on its list; at most 100."""
    listed = select(DeskAccess.subject).where(DeskAccess.deployment_pk == deployment_pk)
    found = db.session.execute(
        select(Launch.subject, Account.name)
        .join(Account, Launch.account_id == Account.id)
        .where(
            Launch.deployment_pk == deployment_pk,
            Launch.administrator.is_(True),
            Launch.subject.not_in(listed),
        )
        .distinct()
        .order_by(Account.name)
        .limit(_SHOWN)
    )
    return [DeskLine(subject, name or subject, None) for subject, name in found]
