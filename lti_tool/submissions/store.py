"""Where the bytes of evidence lie: one file per content, named by its SHA-256, in the evidence folder.

Content that is there already is not written again, and a file appears under its name only when it is whole.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from lti_tool.settings import current

_CHUNK = 1024 * 1024


def put(stream: BinaryIO) -> tuple[str, int]:
    """Keep what is left of the stream. Returns its SHA-256 in hex and its size in bytes."""
    folder = current().evidence_folder
    folder.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    handle, name = tempfile.mkstemp(dir=folder, prefix="incoming-")
    try:
        with os.fdopen(handle, "wb") as file:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        place = _place(digest.hexdigest())
        place.parent.mkdir(exist_ok=True)
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return digest.hexdigest(), size


def open(digest: str) -> BinaryIO:
    """The bytes with that SHA-256, for reading.

    :raises FileNotFoundError: they were never kept here, or the folder was lost.
    """
    return _place(digest).open("rb")


def _place(digest: str) -> Path:
    return current().evidence_folder / digest[:2] / digest
