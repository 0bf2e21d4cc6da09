"""Who may be here without a launch, by a one-time link: whoever looks after connections, and the owners of badges."""

from dataclasses import dataclass
from typing import Any

from flask import url_for

from lti_tool.lti.models import Deployment
from lti_tool.lti.registrations import By
from lti_tool.people.models import Stay


@dataclass(frozen=True)
class Administrator:
    """Somebody who looks after connections: of one platform, or of all of them (``deployment`` is None)."""

    by: By
    deployment: Deployment | None
    launch_id: str | None
    stay_id: str | None
    subject: str | None
    """At the platform, of one who came by a launch."""

    @property
    def sees_all(self) -> bool:
        return self.deployment is None

    @property
    def platform_id(self) -> int | None:
        """The one platform that this person may know of; None is all of them."""
        return None if self.deployment is None else self.deployment.registration.platform_id

    def url(self, endpoint: str, **values: Any) -> str:
        """An address of the administrators' pages, inside the visit that this person came by."""
        if self.launch_id is None:
            return url_for(endpoint, stay=self.stay_id, **values)
        blueprint, _, view = endpoint.partition(".")
        return url_for(f"{blueprint}_in_lms.{view}", launch=self.launch_id, **values)


@dataclass(frozen=True)
class Return:
    """A person who came back to their badges by a personal link, outside any course."""

    stay: Stay
    person_id: int
    account_id: int | None = None
    """No platform has brought them here."""

    def url(self, endpoint: str, **values: Any) -> str:
        """An address inside this stay."""
        return url_for(endpoint, stay=self.stay.id, **values)
