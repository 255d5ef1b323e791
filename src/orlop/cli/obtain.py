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
            if _is_id(found, image):
                return _require_platform(found, platform)
            return found.of_platform(platform)
        except NotFoundError as error:
            if pull == "never" or (found is not None and _is_id(found, image)):
                raise  # No registry knows an ID.
            other = error.with_traceback(None) if found is not None else None
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


def _is_id(image: Image, word: str) -> bool:
    """Whether a word means an image by its ID, and not by a name."""
    digits = word.removeprefix("sha256:")
    return image.id.encoded.startswith(digits) and not any(
        name.rpartition("/")[2].startswith(f"{word}:") for name in image.names
    )


def _require_platform(image: Image, platform: str | None) -> Image:
    """The image, unless it is known to be for another platform.

    Raises:
        NotFoundError: It is.
    """
    from orlop.platform import Platform, matches

    if platform is not None and image.platform is not None:
        wanted = Platform.parse(platform)
        if not matches(wanted, image.platform):
            raise NotFoundError(
                f"image {image.id} is for {image.platform}, and not for {wanted}",
                hint="name the index that lists both, instead of an ID",
            )
    return image
