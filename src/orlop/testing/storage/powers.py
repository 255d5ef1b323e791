"""What the process that runs the contract may do to files."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from orlop._sys.process import (
    CAP_CHOWN,
    has_capability,
    in_initial_user_namespace,
    kernel_version,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

CAPABILITY: Final = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
"""The file capability `cap_net_bind_service=ep`."""
_ESCAPES: Final = (6, 7)  # From this kernel on, overlays show attributes of overlays within.


def acl(*entries: tuple[int, int, int], mask: int = 7) -> bytes:
    """An access control list as an xattr holds it, beside rwxr-x--- with this mask.

    Args:
        entries: Tag (2 for a user, 8 for a group), permissions, and id of each.
        mask: The permissions that the entries have at most.

    Spec: Linux, include/uapi/linux/posix_acl_xattr.h.
    """
    whole = [(1, 7, -1), (4, 5, -1), (16, mask, -1), (32, 0, -1), *entries]
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, bits, number % 2**32) for tag, bits, number in sorted(whole)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Powers:
    """Owners that may be given, nodes that may be made, attributes that may be set.

    Attributes:
        owners: Users and groups; empty where files belong to the process.
        devices: Whether devices may be made.
        xattrs: Values by name, for files and directories.
        default_acls: Values of `system.posix_acl_default`, for directories.
    """

    owners: tuple[int, ...] = ()
    devices: bool = False
    xattrs: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    default_acls: tuple[bytes, ...] = ()

    @classmethod
    def of_this_process(cls) -> Self:
        """Those that it has; a user namespace maps 65,536 ids."""
        xattrs: dict[str, tuple[bytes, ...]] = {
            "user.note": (b"", b"a note", bytes(range(256))),
            "user.n" + "o" * 200: (b"x",),
        }
        lists: tuple[bytes, ...] = (acl((2, 4, os.geteuid())),)
        if not has_capability(CAP_CHOWN):
            xattrs["system.posix_acl_access"] = lists
            return cls(xattrs=xattrs, default_acls=lists)
        privileged = in_initial_user_namespace()
        owners = (0, 1, 1000, 65_534, *((100_000, 2**32 - 2) if privileged else ()))
        lists = (acl((2, 4, 1), (8, 5, 1000)), acl((2, 6, 65_534), mask=5))
        xattrs |= {"security.capability": (CAPABILITY,), "system.posix_acl_access": lists}
        if privileged:
            xattrs["trusted.t"] = (b"\0",)
            if kernel_version() >= _ESCAPES:
                xattrs["trusted.overlay.opaque"] = (b"y",)
        return cls(owners=owners, devices=privileged, xattrs=xattrs, default_acls=lists)
