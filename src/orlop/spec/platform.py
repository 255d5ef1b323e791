"""Platforms as the documents write them.

Spec: image-spec v1.1, image-index.md, "platform"; config.md, "Properties".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orlop.spec.members import Members

MAX_OS_FEATURES: Final = 256


def decode_platform(members: Members, *, alone: bool = True) -> Platform:
    """Read the platform that an object holds.

    Args:
        members: The object.
        alone: Whether it is nothing but a platform, so that what is left over belongs to it.

    Raises:
        InvalidDocumentError: A field is missing or of another type.
    """
    return Platform(
        os=members.string("os"),
        architecture=members.string("architecture"),
        variant=members.optional_string("variant") or "",
        os_version=members.optional_string("os.version") or "",
        os_features=members.strings("os.features", limit="MAX_OS_FEATURES", most=MAX_OS_FEATURES),
        extra=members.unknown() if alone else {},
    )


def encode_platform(platform: Platform) -> dict[str, object]:
    """The platform as a JSON object."""
    found: dict[str, object] = {"architecture": platform.architecture, "os": platform.os}
    optional: Mapping[str, object] = {
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
    }
    found.update((name, value) for name, value in optional.items() if value)
    found.update(platform.extra)
    return found
