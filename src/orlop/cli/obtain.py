"""Images that commands work on: those of the store, or pulled first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from orlop.cli.progress import display
from orlop.errors import NotFoundError, TransportError

if TYPE_CHECKING:
    from orlop.cli.registry import RegistryFlags
    from orlop.store import Image, Store

PullWhen: TypeAlias = Literal["missing", "always", "never"]


def obtain(
    store: Store,
    image: str,
    pull: PullWhen,
    platform: str | None,
    registry: RegistryFlags,
    *,
    quiet: bool,
) -> Image:
    """The image that a word means: of the store and for the platform, or pulled now.

    Raises:
        NotFoundError: It is not here, or for another platform, and is not to be pulled.
        OrlopError: As `Store.pull`.
    """
    other: NotFoundError | None = None  # It is here, and for other platforms.
    if pull != "always":
        found = None
        try:
            found = store.image(image)
            return found.of_platform(platform)
        except NotFoundError as error:
            if pull == "never":
                raise
            other = error if found is not None else None
    try:
        with display(quiet=quiet) as bars:
            return store.pull(
                image,
                platform=platform,
                options=registry.options_for(image),
                progress=bars.update if bars else None,
            )
    except TransportError as error:
        if other is not None:
            raise other from error
        raise error.inside(f"{image} is to be pulled")
