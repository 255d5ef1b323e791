"""`orlop pull`."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from orlop.cli.parameter import Parameter
from orlop.cli.progress import display
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.settings import open_store


def check_jobs(_: object, jobs: int) -> None:
    """Refuse a number of things at once that is none, or too large."""
    from orlop.transfer import MAX_JOBS

    if not 1 <= jobs <= MAX_JOBS:
        raise ValueError(f"must be 1 to {MAX_JOBS}")


def pull(
    source: str,
    /,
    *,
    tag: str | None = None,
    platform: str | None = None,
    all_platforms: Annotated[bool, Parameter(negative="")] = False,
    driver: Literal["erofs", "overlay", "directory"] | None = None,
    jobs: Annotated[int, Parameter(alias="-j", validator=check_jobs)] = 3,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> None:
    """Bring an image into the store.

    Prints the image's ID. What an interrupted pull left is gone on with.

    Args:
        source: A registry's image (docker.io/library/debian:12), oci:DIR[:TAG],
            oci-archive:FILE, docker-archive:FILE or dir:DIR.
        tag: The name that the image gets, instead of its own.
        platform: Which image of several, such as linux/arm64/v8; this machine's by default.
        all_platforms: Store the images for other platforms, too, without unpacking them.
        driver: What is to mount it; what suits the machine by default.
        jobs: How many layers are brought in at once.
        quiet: Print the image's ID alone, and no progress.
        registry: How registries are reached.
    """
    with open_store() as store, display(quiet=quiet) as bars:
        image = store.pull(
            source,
            platform=platform,
            all_platforms=all_platforms,
            tag=tag,
            driver=driver,
            jobs=jobs,
            options=registry.options_for(source),
            progress=bars.update if bars else None,
        )
    if not quiet:
        print(f"{image.name} ({image.platform})", file=sys.stderr)
    print(image.id)
