"""Storing the catalogue, and finding what an activity offers."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import lazyload, selectinload

from lti_tool import audit
from lti_tool.credentials.catalog import Catalog, CredentialSpec, FrameworkSpec, StackSpec
from lti_tool.credentials.models import (
    Credential,
    Criterion,
    Framework,
    Level,
    Part,
    Placement,
    PlacementChoice,
    Stack,
    StackGroup,
    StackOpening,
    StackPart,
    StackVersion,
    Standard,
    Task,
    Version,
)
from lti_tool.credentials.rules import ScorePolicy
from lti_tool.database import db
from lti_tool.lti.claims import DATA_PRIVACY, DEEP_LINKING, SUBMISSION_REVIEW, LaunchMessage
from lti_tool.lti.models import Launch
from lti_tool.lti.roles import CourseRole
from lti_tool.people.copies import origins_of
from lti_tool.people.models import Course

_CHOOSE = frozenset({CourseRole.INSTRUCTOR, CourseRole.DESIGNER, CourseRole.ADMINISTRATOR})
"""Whose launches may say that an activity is something else now."""
_COMPARED = 200
"""Activities of a copied course that are looked at."""


_BY_LINK = (
    select(Placement)
    .where(
        Placement.course_id == bindparam("course_id"),
        Placement.resource_link_id == bindparam("resource_link_id"),
    )
    # A launch has its course already.
    .options(lazyload(Placement.course))
)


class CatalogConflict(Exception):
    """A published version would change. Its text says which file to mend and how."""


@dataclass(frozen=True)
class Loaded:
    """What loading a catalogue changed: the new versions, and how many of both kinds stood already."""

    published: tuple[Version, ...]
    stacks: tuple[StackVersion, ...]
    unchanged: int
    left_out: tuple[str, ...]
    """Keys of micro-credentials that stay on offer although the catalogue says nothing of them any more."""


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
    db.session.flush()
    _retire(catalog, now=now)
    stacks = tuple(filter(None, [_store_stack(stack, now) for stack in catalog.stacks]))
    db.session.flush()
    return Loaded(
        published=tuple(published),
        stacks=stacks,
        unchanged=len(catalog.credentials) + len(catalog.stacks) - len(published) - len(stacks),
        left_out=_left_out(catalog),
    )


def _left_out(catalog: Catalog) -> tuple[str, ...]:
    named = {spec.key for spec in catalog.credentials} | {spec.key for spec in catalog.retired}
    keys = db.session.scalars(
        select(Credential.key).where(Credential.retired_at.is_(None)).order_by(Credential.key)
    )
    return tuple(key for key in keys if key not in named)


def offers(message: LaunchMessage) -> tuple[str, ...]:
    """Keys of the micro-credentials that a link names; several, separated by commas, are a choice."""
    named = message.credential_key or ""
    return tuple(key for key in (part.strip() for part in named.split(",")) if key)


def link_key(message: LaunchMessage) -> str | None:
    """What a link says that it was made for, in one word: ``credential=<keys>`` or ``stack=<key>``."""
    if message.stack_key is not None and _stack(message.stack_key) is not None:
        return f"stack={message.stack_key}"
    keys = ",".join(offers(message))
    return f"credential={keys}" if keys else None


def place(launch: Launch, message: LaunchMessage, *, now: datetime) -> Placement | None:
    """The activity that this link is; made at its first launch. None where the link names nothing that we know.

    A copied link has an id of its own and so becomes an activity of its own, without anybody's work. Where the
    platform cannot tell its links apart, all links of a course that were made for the same are one activity. Faculty
    may have chosen anew for the same link, so what it names when they open it is followed; what was begun before stays
    linked and counts. An address changes nothing that stands: anybody can open a link with one of their own.
    """
    if launch.course_id is None or message.message_type in (DEEP_LINKING, DATA_PRIVACY):
        return None
    if message.message_type == SUBMISSION_REVIEW or message.submission is not None:
        reviewed = _reviewed(launch.course_id, message)
        launch.placement_id = None if reviewed is None else reviewed.id
        db.session.flush()
        return reviewed
    made_for = link_key(message)
    identity = _Identity.of(message, made_for)
    placement = None if identity is None else _placement(launch.course_id, identity)
    if placement is None and identity is not None and made_for is not None:
        placement = new_placement(launch, message, made_for, now=now)
    if placement is None:
        return None
    if made_for not in (None, placement.named) and message.says_itself and launch.role in _CHOOSE:
        _choose_anew(placement, made_for, actor=launch.account_id, now=now)
    # The tool may have been installed anew since; scores go out by the door that is open now.
    _follow(placement, "deployment_pk", launch.deployment_pk)
    if message.ags is not None and message.ags.lineitem:
        _follow(placement, "line_item_url", message.ags.lineitem)
    if message.resource_link is not None and message.resource_link.title:
        _follow(placement, "title", message.resource_link.title)
    if message.points is not None:
        _follow(placement, "points", message.points)
    _follow_policy(placement, message.score_policy)
    launch.placement_id = placement.id
    return placement


def _follow(placement: Placement, fact: str, said: object) -> None:
    """What is set to what it was makes the database session look for changes all the same, at every launch."""
    if getattr(placement, fact) != said:
        setattr(placement, fact, said)


def _follow_policy(placement: Placement, said: str | None) -> None:
    """Only where the link says something else than before: since then faculty may have chosen on the page."""
    if said in set(ScorePolicy) and said != placement.score_policy_said:
        placement.score_policy = placement.score_policy_said = said


def _offered_by(made_for: str) -> tuple[Stack | None, list[Credential]]:
    """The stack or the micro-credentials that a link was made for (see ``link_key``); none where we know neither."""
    kind, _, named = made_for.partition("=")
    if kind != "stack":
        return None, _by_keys(named.split(","))
    stack = _stack(named)
    return stack, [] if stack is None else stack.offered


def _choose_anew(placement: Placement, made_for: str, *, actor: int | None, now: datetime) -> None:
    stack, chosen = _offered_by(made_for)
    if not chosen:
        return
    try:
        with db.session.begin_nested():
            placement.named, placement.stack_id = made_for, None if stack is None else stack.id
            _offer(placement, [credential.id for credential in chosen])
    except IntegrityError:
        # Somebody else's launch was quicker.
        db.session.refresh(placement)
        return
    audit.record("activity changed", "placement", placement.id, now=now, actor=actor, made_for=made_for)


def _reviewed(course_id: int, message: LaunchMessage) -> Placement | None:
    """The activity of the course whose work somebody came to look at. Nothing about it changes: such a launch may
    name another link, or none."""
    if message.submission is not None:
        named = db.session.get(Placement, message.submission[0])
        return named if named is not None and named.course_id == course_id else None
    identity = _Identity.of(message, link_key(message))
    found = None if identity is None else _placement(course_id, identity)
    if found is not None or message.ags is None or message.ags.lineitem is None:
        return found
    return db.session.scalars(
        select(Placement)
        .where(Placement.course_id == course_id, Placement.line_item_url == message.ags.lineitem)
        .order_by(Placement.id)
        .limit(1)
    ).first()


def new_placement(
    launch: Launch, message: LaunchMessage, made_for: str, *, now: datetime
) -> Placement | None:
    """Make the link of a launch an activity for that (see ``link_key``), or find the one that somebody made at the
    same moment. None where we know nothing of it."""
    stack, chosen = _offered_by(made_for)
    identity, course_id = _Identity.of(message, made_for), launch.course_id
    if not chosen or identity is None or course_id is None:
        return None
    title = message.resource_link.title if message.resource_link is not None else None
    placement = Placement(
        deployment_pk=launch.deployment_pk,
        course_id=course_id,
        resource_link_id=identity.resource_link_id,
        link_key=identity.link_key,
        stack_id=None if stack is None else stack.id,
        # What the link itself says, even where faculty had to say what it is: only if that changes, it is followed.
        named=link_key(message),
        title=title or (stack.title if stack is not None else current_version(chosen[0].id).title),
        line_item_url=None,
        created_at=now,
        choices=[PlacementChoice(credential_id=item.id, position=at) for at, item in enumerate(chosen)],
    )
    try:
        with db.session.begin_nested():
            db.session.add(placement)
    except IntegrityError:
        # A second first launch was quicker.
        return _placement(course_id, identity)
    _copy_policy(placement, message.score_policy)
    audit.record("activity placed", "placement", placement.id, now=now, actor=launch.account_id)
    return placement


def _copy_policy(placement: Placement, said: str | None) -> None:
    """Begin with the score policy of the activity that this one was copied from, which may be another than its link
    says. Where several there are made for the same and differ, only the link can tell."""
    course = db.session.get_one(Course, placement.course_id)
    for origin in origins_of(course):
        there = db.session.scalars(
            select(Placement)
            .where(Placement.course_id == origin.id)
            .options(
                selectinload(Placement.choices).joinedload(PlacementChoice.credential),
                selectinload(Placement.stack),
            )
            .limit(_COMPARED)
        )
        policies = {row.score_policy for row in there if row.made_for == placement.made_for}
        if policies:
            if len(policies) == 1 and (policy := policies.pop()) is not None:
                placement.score_policy = policy
                placement.score_policy_said = said if said in set(ScorePolicy) else None
            return


@dataclass(frozen=True)
class _Identity:
    """By what an activity is found again in its course: exactly one of the two."""

    resource_link_id: str | None
    link_key: str | None

    @classmethod
    def of(cls, message: LaunchMessage, made_for: str | None) -> "_Identity | None":
        if message.resource_link is not None:
            return cls(message.resource_link.id, None)
        return None if made_for is None else cls(None, made_for)


def _placement(course_id: int, identity: _Identity) -> Placement | None:
    if identity.link_key is None:
        values = {"course_id": course_id, "resource_link_id": identity.resource_link_id}
        return db.session.scalar(_BY_LINK, values)
    return db.session.scalar(
        select(Placement).where(Placement.course_id == course_id, Placement.link_key == identity.link_key)
    )


def _stack(key: str | None) -> Stack | None:
    return None if key is None else db.session.scalar(select(Stack).where(Stack.key == key))


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


def _store_stack(spec: StackSpec, now: datetime) -> StackVersion | None:
    """The new version, or None where it stands already."""
    stack = db.session.scalar(select(Stack).where(Stack.key == spec.key))
    if stack is None:
        stack = Stack(key=spec.key)
        db.session.add(stack)
        db.session.flush()
    if spec.retired != (stack.retired_at is not None):
        stack.retired_at = now if spec.retired else None
        audit.record("stack retired" if spec.retired else "stack offered again", "stack", stack.id, now=now)
    latest = stack.versions[-1].number if stack.versions else 0
    for version in stack.versions:
        if version.number == spec.version:
            _must_be_same(spec, version, latest)
            return None
    if spec.version < latest:
        raise CatalogConflict(
            f"{spec.key}: version {spec.version} is older than version {latest}, which is published. "
            f"Set `version: {latest + 1}`."
        )
    version = _stack_version(spec, now)
    stack.versions.append(version)
    db.session.flush()
    audit.record("stack version published", "stack", stack.id, now=now, number=spec.version)
    _offer_parts(stack.id, [credential.id for credential in stack.offered])
    return version


def _must_be_same(spec: StackSpec, version: StackVersion, latest: int) -> None:
    if not version.digest and version.rule == spec.rule:
        # Older than versions of stacks: the words are fixed from here on.
        _say(version, spec)
    elif version.digest != spec.digest():
        raise CatalogConflict(
            f"{spec.key}: version {spec.version} of this stack is published, so neither its rule nor its words can "
            f"change. Set `version: {latest + 1}` to publish the new ones; who has begun may finish under the old."
        )


def _stack_version(spec: StackSpec, now: datetime) -> StackVersion:
    named = select(Credential).where(Credential.key.in_((*spec.rule.parts, *spec.rule.outside)))
    ids = {row.key: row.id for row in db.session.scalars(named)}
    version = StackVersion(number=spec.version, published_at=now, in_order=spec.rule.in_order)
    _say(version, spec)
    for at, group in enumerate(spec.rule.groups):
        row = StackGroup(position=at, take=group.take, in_order=group.in_order)
        row.parts = [
            StackPart(version=version, credential_id=ids[key], position=place)
            for place, key in enumerate(group.parts)
        ]
        version.groups.append(row)
    version.openings = [
        StackOpening(credential_id=ids[opening.part], after_id=ids[key])
        for opening in spec.rule.openings
        for key in opening.after
    ]
    return version


def _say(version: StackVersion, spec: StackSpec) -> None:
    version.digest = spec.digest()
    version.title, version.description = spec.title, spec.description
    version.label, version.points = spec.label, spec.points
    version.badge_symbol, version.badge_colour = spec.badge.symbol, spec.badge.colour
    version.badge_shape = spec.badge.shape


def _retire(catalog: Catalog, *, now: datetime) -> None:
    """Nobody begins a retired micro-credential; one that is no longer called retired is offered again."""
    said = {spec.key: (spec.retired, spec.replaced_by) for spec in catalog.credentials}
    said |= {spec.key: (True, spec.replaced_by) for spec in catalog.retired}
    rows = {row.key: row for row in db.session.scalars(select(Credential))}
    for key, (retired, replaced_by) in said.items():
        row = rows.get(key)
        if row is None:
            continue  # Named in retired.yaml, and never published here.
        if retired != (row.retired_at is not None):
            row.retired_at = now if retired else None
            action = "micro-credential retired" if retired else "micro-credential offered again"
            audit.record(action, "credential", row.id, now=now)
        row.replaced_by_id = rows[replaced_by].id if replaced_by else None


def _offer_parts(stack_id: int, credential_ids: Sequence[int]) -> None:
    """Activities that are the whole stack offer what it consists of today. Work that was begun on a part which is
    gone stays, and counts where it is linked."""
    for placement in db.session.scalars(select(Placement).where(Placement.stack_id == stack_id)):
        _offer(placement, credential_ids)


def _offer(placement: Placement, credential_ids: Sequence[int]) -> None:
    standing = {choice.credential_id: choice for choice in placement.choices}
    placement.choices = [
        standing.get(credential_id) or PlacementChoice(credential_id=credential_id)
        for credential_id in credential_ids
    ]
    for at, choice in enumerate(placement.choices):
        choice.position = at
