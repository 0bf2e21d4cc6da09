"""What LMS products do differently, and nothing else does: one class per product, asked through
``behaviour``."""

from lti_tool.lti.models import Product
from lti_tool.lti.platforms.canvas import Canvas
from lti_tool.lti.platforms.generic import Addresses, Generic, Next, Verdict
from lti_tool.lti.platforms.moodle import Moodle
from lti_tool.lti.platforms.openedx import OpenEdx

__all__ = ["Addresses", "Generic", "Next", "Verdict", "behaviour", "product_of"]

_BEHAVIOURS: dict[str, Generic] = {
    Product.CANVAS: Canvas(),
    Product.MOODLE: Moodle(),
    Product.OPENEDX: OpenEdx(),
}
_OTHER = Generic()


def product_of(family_code: object) -> Product:
    """The product that calls itself so in its registration configuration; OTHER for anything else."""
    for product in Product:
        if isinstance(family_code, str) and family_code in behaviour(product).family_codes:
            return product
    return Product.OTHER


def behaviour(product: str) -> Generic:
    """How that product behaves; an unknown one is taken to keep to the specification."""
    return _BEHAVIOURS.get(product, _OTHER)
