"""What a form or a query sends, as values that the rest may rely on."""

_LARGEST = 2**31 - 1


def whole(typed: str) -> int:
    """A whole number that a database takes as an id or as a page; for ``type=`` of a form or query.

    :raises ValueError: any other text.
    """
    number = int(typed) if len(typed) <= 11 else _LARGEST + 1
    if abs(number) > _LARGEST:
        raise ValueError("beyond what a database counts")
    return number


def text(typed: str) -> str:
    """What somebody typed, without NUL, which PostgreSQL takes in no text; for ``type=`` of a form."""
    return typed.replace("\0", "").strip()
