"""The labels that tell the collector what to keep, as containerd names them.

    containerd.io/gc.root                      on a blob: it is kept
    containerd.io/gc.ref.content[.x or /x]     keeps the blob of this digest
    containerd.io/gc.ref.image[.x or /x]       keeps the image of this name
    containerd.io/gc.ref.snapshot.x            keeps the stack of this chainID
    containerd.io/gc.bref.content, …           on a blob or an image: it is kept as long as that is
    containerd.io/gc.expire                    on an image or a lease: when it ends, as RFC 3339
    containerd.io/gc.flat                      on a lease: what its blobs name is not kept

Which of them a key is, is told by the database (`role`); what follows, by `orlop.metadata.graph`.
"""

from __future__ import annotations

import re
from typing import Final

from orlop.digest import Digest
from orlop.errors import InvalidDigestError, InvalidError
from orlop.timestamp import parse_timestamp

GC_PREFIX: Final = "containerd.io/gc."
GC_ROOT: Final = f"{GC_PREFIX}root"
GC_EXPIRE: Final = f"{GC_PREFIX}expire"
GC_FLAT: Final = f"{GC_PREFIX}flat"

_DIGESTS: Final = re.compile(r"b?ref\.(?:content(?:[./].*)?|snapshot\..+)", re.DOTALL)


def check_gc_label(key: str, value: str) -> None:
    """Succeed unless the label is one for the collector, and has a value that it cannot obey.

    Raises:
        InvalidError: That is so; `where` is the label's key.
    """
    if not key.startswith(GC_PREFIX):
        return
    if key == GC_EXPIRE and parse_timestamp(value) is None:
        raise InvalidError(
            f"{value[:100]!r} is no time",
            where=key,
            hint="write it as RFC 3339 does, such as 2030-12-31T23:59:59Z",
        )
    if _DIGESTS.fullmatch(key, len(GC_PREFIX)):
        try:
            Digest(value)
        except InvalidDigestError as error:
            raise InvalidError(str(error), where=key) from error
