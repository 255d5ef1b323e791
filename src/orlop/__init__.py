"""Container storage for Python: fetch, keep, read and mount OCI images, without a daemon.

import orlop

with orlop.open_store() as store:
    image = store.pull("docker.io/library/debian:12")
    with image.mount() as rootfs:
        print((rootfs / "etc/os-release").read_text())
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from orlop.runtime import RunOptions, RunResult
    from orlop.store import (
        Image,
        ImageDraft,
        IndexDraft,
        Mount,
        Store,
        copy,
        copy_all,
        open_store,
    )
    from orlop.store.running import run

__all__ = [
    "Image", "ImageDraft", "IndexDraft", "Mount", "RunOptions", "RunResult", "Store",
    "__version__", "copy", "copy_all", "open_store", "run",
]  # fmt: skip

_PLACES = {
    "orlop.runtime": "RunOptions RunResult",
    "orlop.store": "Image ImageDraft IndexDraft Mount Store copy copy_all open_store",
    "orlop.store.running": "run",
}


def __getattr__(name: str) -> object:
    """The façade, loaded when it is first asked for: importing one module costs that module."""
    if name in __all__:
        from orlop._late import late

        return late(_PLACES)[0](name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """What there is, loaded or not."""
    return sorted({*globals(), *__all__})
