"""What an administrator types into an LMS to connect it without dynamic registration."""

from typing import Any
from urllib.parse import urlsplit

from lti_tool.lti import platforms
from lti_tool.lti.addresses import LAUNCH_PATH
from lti_tool.lti.models import Product
from lti_tool.settings import Settings

_NAME = "Tessera"
_DESCRIPTION = "Micro-credentials for people who teach"
_SELECTION_SIZE = {"selection_width": 900, "selection_height": 700}


def addresses(settings: Settings) -> list[tuple[str, str]]:
    """What every platform has to be told, under the names that platforms use."""
    return [
        ("Login address", f"{settings.public_url}/lti/login"),
        ("Redirect address", f"{settings.public_url}{LAUNCH_PATH}"),
        ("Deep linking address", f"{settings.public_url}{LAUNCH_PATH}"),
        ("Key set address", f"{settings.service_url}/lti/jwks"),
    ]


def values(product: str, settings: Settings) -> list[tuple[str, str]]:
    """Every field of the product's own form, under the field's own name, with what to enter."""
    launch, login = settings.public_url + LAUNCH_PATH, f"{settings.public_url}/lti/login"
    keys = f"{settings.service_url}/lti/jwks"
    match product:
        case Product.CANVAS:
            return [
                ("Method", "Enter URL"),
                ("JSON URL", f"{settings.public_url}/lti/canvas.json"),
                ("Redirect URIs", launch),
                ("With the method Manual Entry instead: Target Link URI", launch),
                ("OpenID Connect Initiation Url", login),
                ("JWK Method", "Public JWK URL"),
                ("Public JWK URL", keys),
            ]
        case Product.MOODLE:
            return [
                ("Tool name", _NAME),
                ("Tool URL", launch),
                ("LTI version", "LTI 1.3"),
                ("Public key type", "Keyset URL"),
                ("Public keyset", keys),
                ("Initiate login URL", login),
                ("Redirection URI(s)", launch),
                (
                    "Custom parameters",
                    _lines(platforms.behaviour(product).registration_variables(frozenset())),
                ),
                ("Tool configuration usage", "Show in activity chooser and as a preconfigured tool"),
                ("Default launch container", "Embed, without blocks"),
                ("Supports Deep Linking (Content-Item Message)", "ticked"),
                ("Content Selection URL", launch),
                (
                    "IMS LTI Assignment and Grade Services",
                    "Use this service for grade sync and column management",
                ),
                (
                    "IMS LTI Names and Role Provisioning",
                    "Use this service to retrieve members' information as per privacy settings",
                ),
                ("Tool Settings", "Do not use this service"),
                ("Share launcher's name with tool", "Always"),
                ("Share launcher's email with tool", "Always"),
                ("Accept grades from the tool", "Always"),
                ("Force SSL", "ticked"),
            ]
    return addresses(settings)


def canvas_configuration(settings: Settings) -> dict[str, Any]:
    """The JSON of a Canvas developer key, with the placements, permissions and parameters that a dynamic registration
    asks for."""
    behaviour = platforms.behaviour(Product.CANVAS)
    target = settings.public_url + LAUNCH_PATH
    placements = [
        {
            "placement": placement,
            "message_type": message["type"],
            "target_link_uri": target,
            "text": _NAME,
            "enabled": True,
            **(_SELECTION_SIZE if message["type"] == "LtiDeepLinkingRequest" else {"visibility": "admins"}),
        }
        for message in behaviour.registration_messages({}, target, _NAME)
        for placement in message["placements"]
    ]
    return {
        "title": _NAME,
        "description": _DESCRIPTION,
        "oidc_initiation_url": f"{settings.public_url}/lti/login",
        "target_link_uri": target,
        "public_jwk_url": f"{settings.service_url}/lti/jwks",
        "scopes": list(behaviour.wanted_scopes),
        "custom_fields": behaviour.registration_variables(frozenset()),
        "extensions": [
            {
                "platform": "canvas.instructure.com",
                "domain": urlsplit(settings.public_url).netloc,
                "tool_id": "tessera",
                "privacy_level": "public",
                "settings": {"text": _NAME, "placements": placements},
            }
        ],
    }


def _lines(parameters: dict[str, str]) -> str:
    return "\n".join(f"{name}={value}" for name, value in parameters.items())
