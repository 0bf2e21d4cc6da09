"""What pyld does for proofs: expanding, reading back, and the one order of RDF. Loaded by the first proof only.

It keeps caches for the whole process and changes them without a lock of its own: call this under one.
"""

from collections.abc import Mapping
from typing import Any

from pyld import jsonld
from pyld.canon import URDNA2015

PYLD_RAISES = (
    jsonld.JsonLdError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Its own error for what it foresaw; the others for members of a kind it did not expect."""


class TooAlike(Exception):
    """More blank nodes that only their neighbours tell apart than anybody should have to put in order."""


def expanded(document: Mapping[str, Any], settings: Mapping[str, Any], dropped: list[str | None]) -> Any:
    """The document with every name as a full address; what has none is named in ``dropped``."""
    return jsonld.expand(dict(document), dict(settings), on_property_dropped=dropped.append)


def read_back(document: Any, context: list[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What readers of the contexts' own names would find in the expanded document."""
    how = {**settings, "compactToRelative": False, "skipExpansion": True}
    compacted: dict[str, Any] = jsonld.compact(document, context, how)
    compacted.pop("@context", None)
    return compacted


def quads(document: Any, settings: Mapping[str, Any], most_alike: int) -> str:
    """The N-Quads of the expanded document in RDFC-1.0 order.

    :raises TooAlike: more than ``most_alike`` nodes are alike.
    """
    dataset = _Expanded().to_rdf(document, dict(settings))
    ordered: str = _Canonicaliser(most_alike).main(dataset, {"format": "application/n-quads"})
    return ordered


class _Expanded(jsonld.JsonLdProcessor):  # type: ignore[misc]  # pyld carries no types
    """Takes what is expanded already as it is, where pyld would expand it once more."""

    def expand(self, input_: Any, _options: Any) -> Any:
        return input_


class _Canonicaliser(URDNA2015):  # type: ignore[misc]  # pyld carries no types
    """RDFC-1.0 with a limit: a few hundred bytes of nodes that are all alike can keep it busy for minutes."""

    def __init__(self, most_alike: int) -> None:
        super().__init__()
        self._most_alike = most_alike

    def hash_n_degree_quads(self, id_: str, issuer: Any) -> Any:
        """Only reached for nodes that their own statements do not tell apart."""
        if sum(len(alike) for alike in self.hash_to_blank_nodes.values()) > self._most_alike:
            raise TooAlike
        return super().hash_n_degree_quads(id_, issuer)
