"""Directories that umoci unpacked an image into.

`umoci.json` names the manifest, and says whether the user had privilege. What each file was like
is in a manifest of mtree, by time in seconds and SHA-256; here every file is compared with the
image instead.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from orlop.digest import Digest
from orlop.errors import InvalidDocumentError, NotFoundError, OrlopError, UnsupportedError
from orlop.images.choice import decode_config
from orlop.spec import Manifest
from orlop.unpack.state import State, read_limited

if TYPE_CHECKING:
    from orlop.content import LocalContent

DOCUMENT: Final = "umoci.json"
_MAX: Final = 1 << 20


def read_umoci(dir_fd: int, content: LocalContent) -> State | None:
    """What umoci unpacked into a directory; None where it did not.

    Raises:
        InvalidDocumentError: Its note is damaged.
        UnsupportedError: It was told to give files other owners.
        NotFoundError: The image is not in the store.
        OSError: The note cannot be read.
    """
    try:
        raw = read_limited(dir_fd, DOCUMENT, _MAX)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(raw)
        digest = Digest(found["from_descriptor_path"]["descriptor_walk"][-1]["digest"])
        options = found["map_options"]
        rootless = bool(options.get("rootless"))
        mapped = options.get("uid_mappings") or options.get("gid_mappings")
    except (OrlopError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise InvalidDocumentError("is damaged", where=DOCUMENT) from None
    if mapped and not rootless:
        raise UnsupportedError(
            "umoci gave the files other owners than the image has (--uid-map)",
            hint="let umoci repack it",
        )
    manifest = Manifest.decode(_document(content, digest))
    config = decode_config(manifest.config, _document(content, manifest.config.digest))
    return State(
        image=f"the image {digest}",
        manifest=digest,
        config=manifest.config.digest,
        diff_ids=config.diff_ids,
        kept="nothing" if rootless else "all",
    )


def _document(content: LocalContent, digest: Digest) -> bytes:
    info = content.stat(digest)
    if info is None:
        raise NotFoundError(
            f"the image {digest}, of which umoci unpacked the directory, is not in the store",
            hint="pull it from the layout that umoci had it from",
        )
    return content.read(digest, info.size)
