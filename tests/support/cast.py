"""The people and places that tests speak of.

Ingrid teaches, Lena, Mateo and Aiko learn, Otto teaches another course, Ada administers the platform, and Rita is an
administrator on the access list of the registrar's desk.
"""

from dataclasses import dataclass

from sqlalchemy import select

from lti_tool.credentials.models import Credential, Placement, PlacementChoice, Version
from lti_tool.database import db
from lti_tool.lti.models import Deployment, Platform, Registration
from lti_tool.people.models import Account, Course, DeskAccess, Membership, Person
from tests.support.apps import NOON

NAMES = {
    "ingrid": ("Ingrid Okafor", "instructor"),
    "lena": ("Lena Brandt", "learner"),
    "mateo": ("Mateo Ruiz", "learner"),
    "aiko": ("Aiko Tanaka", "learner"),
    "otto": ("Otto Keller", "instructor"),
    "ada": ("Ada Whitfield", "administrator"),
    "rita": ("Rita Moore", "administrator"),
}


@dataclass(frozen=True)
class Campus:
    """Ids of one platform with a course, its people and an activity."""

    deployment: int
    registration: int
    course: int
    other_course: int
    placement: int
    accounts: dict[str, int]
    persons: dict[str, int]


def build_campus(product: str = "canvas", *, credential: str | None = None) -> Campus:
    """A platform of that product with two courses; the first has an activity for one micro-credential.

    ``credential`` is a key; without it, the first of the shipped catalogue that needs no children.
    """
    platform = Platform(name=f"Example {product}", product=product, created_at=NOON)
    registration = Registration(
        platform=platform,
        issuer=f"https://{product}.example.edu",
        client_id="10000000000042",
        auth_url=f"https://{product}.example.edu/auth",
        token_url=f"https://{product}.example.edu/token",
        jwks_url=f"https://{product}.example.edu/jwks",
        token_audience=None,
        created_at=NOON,
    )
    deployment = Deployment(registration=registration, deployment_id="1", created_at=NOON)
    db.session.add(deployment)
    db.session.flush()
    courses = [
        Course(platform_id=platform.id, context_id=context, label=label, title=title, created_at=NOON)
        for context, label, title in (
            ("c1", "SPED 4500", "SPED 4500 Inclusive Practice"),
            ("c2", "SPED 4700", "SPED 4700 Practicum"),
        )
    ]
    db.session.add_all(courses)
    accounts: dict[str, int] = {}
    persons: dict[str, int] = {}
    for subject, (name, role) in NAMES.items():
        account = add_account(platform.id, subject, name)
        accounts[subject], persons[subject] = account.id, account.person_id
        db.session.flush()
        db.session.add(
            Membership(
                course_id=courses[1 if subject == "otto" else 0].id,
                account_id=account.id,
                role=role,
                seen_at=NOON,
            )
        )
    db.session.add(DeskAccess(deployment_pk=deployment.id, subject="rita", granted_at=NOON))
    placement = add_placement(deployment.id, courses[0].id, "link-1", credential or simple_key())
    db.session.commit()
    return Campus(
        deployment.id, registration.id, courses[0].id, courses[1].id, placement.id, accounts, persons
    )


def build_bare_campus() -> Campus:
    """The same in a database without a catalogue, which takes a second to publish."""
    db.session.add(Credential(key="bare", created_at=NOON))
    db.session.flush()
    return build_campus(credential="bare")


def add_account(platform_id: int, subject: str, name: str | None) -> Account:
    person = Person(created_at=NOON)
    db.session.add(person)
    db.session.flush()
    account = Account(
        platform_id=platform_id,
        person_id=person.id,
        subject=subject,
        name=name,
        email=f"{subject}@example.edu" if name else None,
        sis_id=f"S-{subject}",
        created_at=NOON,
        seen_at=NOON,
    )
    db.session.add(account)
    db.session.flush()
    return account


def add_placement(deployment: int, course: int, link: str, *keys: str, line_item: bool = True) -> Placement:
    """An activity that offers these micro-credentials."""
    found = {
        row.key: row.id for row in db.session.scalars(select(Credential).where(Credential.key.in_(keys)))
    }
    placement = Placement(
        deployment_pk=deployment,
        course_id=course,
        resource_link_id=link,
        title="Micro-credential",
        line_item_url=f"https://lms.example.edu/line_items/{link}" if line_item else None,
        created_at=NOON,
        choices=[PlacementChoice(credential_id=found[key], position=at) for at, key in enumerate(keys)],
    )
    db.session.add(placement)
    db.session.flush()
    return placement


def simple_key() -> str:
    """A shipped micro-credential that can be done without any child."""
    return (
        db.session.scalars(
            select(Credential.key).join(Version).where(Version.setting == "no-children").order_by(Version.id)
        ).first()
        or ""
    )
