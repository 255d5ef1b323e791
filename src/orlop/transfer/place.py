"""From what a person writes to an image source: registries and local places alike."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orlop import layout
from orlop.layout.names import ref_name_of
from orlop.reference import Reference
from orlop.registry import RegistryClient, RegistryOptions, RegistrySource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orlop.registry import CredentialStore
    from orlop.transfer.source import ImageSource

_REGISTRY_PREFIX: Final = "docker://"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """How places are reached.

    Attributes:
        registry: Connections to registries.
        credentials: Who one is to them.
        spool: A directory for archives that are compressed, or come through a pipe.
    """

    registry: RegistryOptions = field(default_factory=RegistryOptions)
    credentials: CredentialStore | None = None
    spool: Path | None = None


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
    if text.partition(":")[0] in layout.TRANSPORTS and ":" in text:
        place = layout.parse_place(text)
        with layout.open_source(place, spool=options.spool) as source:
            yield source, layout.fallback_name(place, ref_name_of(source.resolve()))
        return
    reference = Reference.parse(text.removeprefix(_REGISTRY_PREFIX)).with_default_tag()
    client = RegistryClient(options.registry, options.credentials)
    try:
        with RegistrySource(client, reference) as source:
            yield source, str(reference)
    finally:
        client.close()
