"""Paths inside a layout: relative, with slashes, and leading nowhere else.

Spec: image-spec v1.1, image-layout.md, "Filesystem Layout".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import UnsafePathError

if TYPE_CHECKING:
    from orlop.digest import Digest

LAYOUT_FILE: Final = "oci-layout"
INDEX_FILE: Final = "index.json"
BLOBS: Final = "blobs"

MAX_PATH_LENGTH: Final = 1024
"""Characters of a path inside a layout; that of a blob has some 600 at most."""


def blob_path(digest: Digest) -> str:
    """Where a layout keeps content: `blobs/<algorithm>/<encoded>`."""
    return f"{BLOBS}/{digest.algorithm}/{digest.encoded}"


def check_path(path: str) -> str:
    """The path, which stays inside the layout that it is a path of.

    Raises:
        UnsafePathError: It is empty, absolute or too long, or has a segment that is empty, `.`
            or `..`, or a character that no file name has.
    """
    if len(path) > MAX_PATH_LENGTH:
        raise UnsafePathError("is too long for a path in a layout", where=ascii(path[:100]))
    if "\0" in path or any(part in {"", ".", ".."} for part in path.split("/")):
        raise UnsafePathError("is no path below a layout", where=ascii(path))
    return path
