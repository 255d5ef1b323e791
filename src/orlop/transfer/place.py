"""From what a person writes to an image source: registries and local places alike.

The code of registries is loaded when a registry is meant, that of local places when one of those.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from orlop.errors import InvalidReferenceError
from orlop.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.registry import CredentialStore, RegistryOptions
    from orlop.transfer.source import ImageSource

LOCAL_PREFIXES: Final = ("oci:", "oci-archive:", "docker-archive:", "dir:")
"""What the name of a place on this machine begins with."""

_REGISTRY_PREFIX: Final = "docker://"
_PATH_STARTS: Final = ("/", "./", "../")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How places are reached.

    Attributes:
        registry: Connections to registries; by HTTPS, and as the defaults say, where None.
        credentials: Who one is to them.
        spool: A directory for archives that are compressed, or come through a pipe.
        stream: The archive that the path `-` means.
    """

    registry: RegistryOptions | None = None
    credentials: CredentialStore | None = None
    spool: Path | None = None
    stream: BinaryIO | None = None


def is_local(text: str) -> bool:
    """Whether a text names a place on this machine, and no registry."""
    return text.startswith(LOCAL_PREFIXES)


@contextmanager
def open_source(text: str, options: SourceOptions) -> Iterator[tuple[ImageSource, str]]:
    """Open the image that a text means.

    Args:
        text: `oci:DIR[:TAG]`, `oci-archive:FILE`, `docker-archive:FILE`, `dir:DIR`, or a reference
            to a registry, with `docker://` before it or not.
        options: How it is reached.

    Yields:
        The source, and the name that its image has where the place gives it none.

    Raises:
        InvalidReferenceError: The text means neither.
        OrlopError: The place cannot be opened, as `orlop.layout.open_source` says.
    """
    if is_local(text):
        from orlop import layout

        place = layout.parse_place(text)
        with layout.open_source(place, spool=options.spool, stream=options.stream) as source:
            yield source, layout.fallback_name(place, layout.ref_name_of(source.resolve()))
        return
    if text.startswith(_PATH_STARTS):
        raise InvalidReferenceError(
            f"{text!r} is a path, which does not say what lies there",
            hint="write oci:DIR, oci-archive:FILE, docker-archive:FILE or dir:DIR",
        )
    from orlop.registry import RegistryClient, RegistrySource

    reference = Reference.parse(text.removeprefix(_REGISTRY_PREFIX)).with_default_tag()
    client = RegistryClient(options.registry, options.credentials)
    try:
        with RegistrySource(client, reference) as remote:
            yield remote, str(reference)
    finally:
        client.close()
