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
    if pull != "always":
        try:
            return of_platform(store.image(image), platform)
        except NotFoundError:
            if pull == "never":
                raise
    try:
        with display(quiet=quiet) as bars:
            return store.pull(
                image,
                platform=platform,
                options=registry.options_for(image),
                progress=bars.update if bars else None,
            )
    except TransportError as error:
        raise error.inside(f"{image} is to be pulled")


def of_platform(image: Image, platform: str | None) -> Image:
    """The image, if it is one for this platform, as far as it says.

    Raises:
        NotFoundError: It is for another.
    """
    from orlop.platform import Platform, matches

    if platform is not None and image.platform is not None:
        wanted = Platform.parse(platform)
        if not matches(wanted, image.platform):
            raise NotFoundError(
                f"{image.name} is here for {image.platform}, and not for {wanted}",
                hint="let it be pulled: --pull missing",
            )
    return image
