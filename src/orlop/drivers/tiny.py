"""A small EROFS image whose one file lies on a second device: what probing mounts."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import Final

from orlop.digest import Digest
from orlop.fsimage.erofs import Device, write_index
from orlop.tree import Node, directory
from orlop.tree.node import S_IFREG

FILE_NAME: Final = "data"
CONTENT: Final = b"orlop".ljust(512, b"\n")
"""What the second device holds."""


@cache
def tiny_image() -> bytes:
    """Encode the image, of 512-byte blocks; its device holds `CONTENT`."""
    source = Digest.of(CONTENT)
    root = directory()
    assert root.children is not None
    root.children[FILE_NAME.encode()] = Node(S_IFREG | 0o444, size=len(CONTENT), source=source)
    output = BytesIO()
    write_index(root, [Device(source, len(CONTENT))], output, uuid=b"orlop probe uuid")
    return output.getvalue()
