"""Storing the catalogue, and finding what an activity offers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from lti_tool import audit
from lti_tool.credentials.catalog import BadgeSpec, Catalog, CredentialSpec, FrameworkSpec, StackSpec
from lti_tool.credentials.models import (
    Credential,
    Criterion,
    Framework,
    Level,
    Part,
    Placement,
    PlacementChoice,
    Stack,
    StackPart,
    Standard,
    Task,
    Version,
)
from lti_tool.database import db
from lti_tool.lti.claims import LaunchMessage
from lti_tool.lti.models import Launch


class CatalogConflict(Exception):
    """A published version would change. Its text says which file to mend and how."""


@dataclass(frozen=True)
class Loaded:
    """What loading a catalogue changed: the new versions, and how many stood already."""

    published: tuple[Version, ...]
    unchanged: int


def store(catalog: Catalog, *, now: datetime) -> Loaded:
    """Publish every version that is new; leave alone what stands.

    :raises CatalogConflict: a version that is published already now has other words.
    """
    standards = _store_frameworks(catalog.frameworks)
    published: list[Version] = []
    for spec in catalog.credentials:
        version = _store_credential(spec, standards, now)
        if version is not None:
            published.append(version)
    for stack in catalog.stacks:
        _store_stack(stack)
    db.session.flush()
    return Loaded(tuple(published), len(catalog.credentials) - len(published))


def offers(message: LaunchMessage) -> tuple[str, ...]:
    """Keys of the micro-credentials that a link names; several, separated by commas, are a choice."""
    named = message.credential_key or ""
    return tuple(key for key in (part.strip() for part in named.split(",")) if key)


def place(launch: Launch, message: LaunchMessage, *, now: datetime) -> Placement | None:
    """The activity that this link is; made at its first launch. None where the link names nothing that we know."""
    if launch.course_id is None or message.resource_link is None:
        return None
    placement = _placement(launch.course_id, message.resource_link.id)
    if placement is None:
        chosen = _by_keys(offers(message))
        if not chosen:
            return None
        placement = _new_placement(launch, message, chosen, now)
    # The tool may have been installed anew since; scores go out by the door that is open now.
    placement.deployment_pk = launch.deployment_pk
    if message.ags is not None and message.ags.lineitem:
        placement.line_item_url = message.ags.lineitem
    if message.resource_link.title:
        placement.title = message.resource_link.title
    launch.placement_id = placement.id
    db.session.flush()
    return placement


def _placement(course_id: int, resource_link_id: str) -> Placement | None:
    return db.session.scalar(
        select(Placement).where(
            Placement.course_id == course_id, Placement.resource_link_id == resource_link_id
        )
    )


def _new_placement(
    launch: Launch, message: LaunchMessage, chosen: Sequence[Credential], now: datetime
) -> Placement:
    link, course_id = message.resource_link, launch.course_id
    assert link is not None
    assert course_id is not None
    placement = Placement(
        deployment_pk=launch.deployment_pk,
        course_id=course_id,
        resource_link_id=link.id,
        title=link.title or current_version(chosen[0].id).title,
        line_item_url=None,
        created_at=now,
        choices=[PlacementChoice(credential_id=item.id, position=at) for at, item in enumerate(chosen)],
    )
    try:
        with db.session.begin_nested():
            db.session.add(placement)
    except IntegrityError:
        # A second first launch was quicker.
        found = _placement(course_id, link.id)
        assert found is not None
        return found
    audit.record("activity placed", "placement", placement.id, now=now, actor=launch.account_id)
    return placement


def _by_keys(keys: Sequence[str]) -> list[Credential]:
    found = {
        credential.key: credential
        for credential in db.session.scalars(select(Credential).where(Credential.key.in_(keys[:20])))
    }
    return [found[key] for key in keys if key in found]


def current_version(credential_id: int) -> Version:
    """The version that new work begins under."""
    return db.session.scalars(
        select(Version).where(Version.credential_id == credential_id).order_by(Version.number.desc()).limit(1)
    ).one()


def _store_frameworks(specs: Collection[FrameworkSpec]) -> Mapping[tuple[str, str], Standard]:
    frameworks = {row.key: row for row in db.session.scalars(select(Framework))}
    standards = {(row.framework.key, row.code): row for row in db.session.scalars(select(Standard))}
    for spec in specs:
        framework = frameworks.get(spec.key) or Framework(key=spec.key)
        framework.title, framework.publisher = spec.title, spec.publisher
        framework.url, framework.note = spec.url, spec.note
        db.session.add(framework)
        for item in spec.standards:
            row = standards.get((spec.key, item.code))
            if row is None:
                row = standards[spec.key, item.code] = Standard(framework=framework, code=item.code)
            row.label = item.label
            db.session.add(row)
    db.session.flush()
    return standards


def _store_credential(
    spec: CredentialSpec, standards: Mapping[tuple[str, str], Standard], now: datetime
) -> Version | None:
    credential = db.session.scalar(select(Credential).where(Credential.key == spec.key))
    if credential is None:
        credential = Credential(key=spec.key, created_at=now)
        db.session.add(credential)
        db.session.flush()
    latest = max((version.number for version in credential.versions), default=0)
    for version in credential.versions:
        if version.number != spec.version:
            continue
        if version.digest != spec.digest():
            raise CatalogConflict(
                f"{spec.key}: version {spec.version} is published, so its words cannot change. "
                f"Set `version: {latest + 1}` to publish the new ones; work in progress stays on the old."
            )
        return None
    if spec.version < latest:
        raise CatalogConflict(
            f"{spec.key}: version {spec.version} is older than version {latest}, which is published. "
            f"Set `version: {latest + 1}`."
        )
    version = _version(spec, credential, standards, now)
    db.session.add(version)
    db.session.flush()
    audit.record("version published", "version", version.id, now=now, number=spec.version)
    return version


def _version(
    spec: CredentialSpec, credential: Credential, standards: Mapping[tuple[str, str], Standard], now: datetime
) -> Version:
    parts = {
        part.key: Part(
            position=at, key=part.key, title=part.title, intro=part.intro, passing=part.passing or ""
        )
        for at, part in enumerate(spec.parts)
    }
    version = Version(
        credential=credential,
        number=spec.version,
        digest=spec.digest(),
        published_at=now,
        shape=spec.shape,
        title=spec.title,
        label=spec.label,
        purpose=spec.purpose,
        competency=spec.competency,
        key_method=spec.key_method,
        audience=spec.audience,
        setting=spec.setting,
        effort_hours_min=spec.effort_hours.min,
        effort_hours_max=spec.effort_hours.max,
        turnaround_days=spec.turnaround_days,
        assessed_by=spec.assessed_by,
        pass_kind=spec.pass_rule.kind,
        pass_percent=100 if spec.pass_rule.percent is None else spec.pass_rule.percent,
        points=spec.points,
        badge_symbol=spec.badge.symbol,
        badge_colour=spec.badge.colour,
        badge_shape=spec.badge.shape,
        components=[asdict(item) for item in spec.components],
        research=[asdict(item) for item in spec.research],
        resources=[asdict(item) for item in spec.resources],
        standards=[standards[ref.framework, ref.code] for ref in spec.standards],
        parts=list(parts.values()),
    )
    version.tasks = [
        Task(
            part=parts[task.part],
            position=at,
            key=task.key,
            title=task.title,
            prompt=task.prompt,
            kind=task.kind,
            required=task.required,
            words_min=task.words.min if task.words else None,
            words_max=task.words.max if task.words else None,
            accepts_upload="upload" in task.accepts,
            accepts_link="link" in task.accepts,
            involves_children=task.involves_children,
            alternatives=task.alternatives or "",
            max_files=task.max_files,
        )
        for at, task in enumerate(spec.tasks)
    ]
    version.criteria = [
        Criterion(
            part=parts[row.part],
            position=at,
            key=row.key,
            title=row.title,
            description=row.description,
            feedback_hint=row.feedback_hint,
            levels=[
                Level(
                    position=height,
                    key=level.key,
                    title=level.title,
                    text=level.text,
                    points=level.points,
                    required=level.key == row.required_level,
                )
                for height, level in enumerate(row.levels)
            ],
        )
        for at, row in enumerate(spec.rubric)
    ]
    return version


def _store_stack(spec: StackSpec) -> None:
    stack = db.session.scalar(select(Stack).where(Stack.key == spec.key)) or Stack(key=spec.key)
    stack.title, stack.description = spec.title, spec.description
    _dress(stack, spec.badge)
    db.session.add(stack)
    db.session.flush()
    ids = {row.key: row.id for row in _by_keys(spec.parts)}
    wanted = [ids[key] for key in spec.parts]
    standing = {part.credential_id: part for part in stack.parts}
    stack.parts = [
        standing.get(credential_id) or StackPart(stack_id=stack.id, credential_id=credential_id)
        for credential_id in wanted
    ]
    for at, part in enumerate(stack.parts):
        part.position = at


def _dress(stack: Stack, badge: BadgeSpec) -> None:
    stack.badge_symbol, stack.badge_colour, stack.badge_shape = badge.symbol, badge.colour, badge.shape
