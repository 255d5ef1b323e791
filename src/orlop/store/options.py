"""What callers of this package say of a copy, as `orlop.transfer` takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orlop.platform import Platform

if TYPE_CHECKING:
    from typing import BinaryIO

    from orlop.transfer import CopyOptions, ProgressCallback, SourceOptions


def copy_options(
    *,
    platform: str | Platform | None = None,
    all_platforms: bool = False,
    oci: bool = False,
    jobs: int | None = None,
    source: SourceOptions | None = None,
    output: BinaryIO | None = None,
    timestamp: int = 0,
    progress: ProgressCallback | None = None,
) -> CopyOptions:
    """The options of a copy, out of arguments as `copy` takes them."""
    from orlop.transfer import DEFAULT_JOBS, CopyOptions, SourceOptions

    return CopyOptions(
        platform=Platform.parse(platform) if isinstance(platform, str) else platform,
        all_platforms=all_platforms,
        oci=oci,
        jobs=DEFAULT_JOBS if jobs is None else jobs,
        source=source or SourceOptions(),
        output=output,
        timestamp=timestamp,
        progress=progress,
    )
