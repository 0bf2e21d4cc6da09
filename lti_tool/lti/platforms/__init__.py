"""What LMS products do differently, and nothing else does: one class per product, asked through
``behaviour``."""

from lti_tool.lti.models import Product
from lti_tool.lti.platforms.canvas import Canvas
from lti_tool.lti.platforms.generic import Addresses, Generic, Next, Verdict
from lti_tool.lti.platforms.moodle import Moodle
from lti_tool.lti.platforms.openedx import OpenEdx

__all__ = ["Addresses", "Generic", "Next", "Verdict", "behaviour"]

_BEHAVIOURS: dict[str, Generic] = {
    Product.CANVAS: Canvas(),
    Product.MOODLE: Moodle(),
    Product.OPENEDX: OpenEdx(),
}
_OTHER = Generic()


def behaviour(product: str) -> Generic:
    """How that product behaves; an unknown one is taken to keep to the specification."""
    return _BEHAVIOURS.get(product, _OTHER)
