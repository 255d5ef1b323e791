"""Running containers, by an OCI runtime that is installed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.runtime.bundle import Ended, run_bundle
    from orlop.runtime.container import run
    from orlop.runtime.find import RUNTIMES, Runtime, RuntimeVersion, find_runtime
    from orlop.runtime.left import remove_left, settle
    from orlop.runtime.options import RunOptions, RunResult, Volume
    from orlop.runtime.streams import Streams
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.runtime.bundle": "Ended run_bundle",
            "orlop.runtime.container": "run",
            "orlop.runtime.find": "RUNTIMES Runtime RuntimeVersion find_runtime",
            "orlop.runtime.left": "remove_left settle",
            "orlop.runtime.options": "RunOptions RunResult Volume",
            "orlop.runtime.streams": "Streams",
        }
    )

__all__ = [
    "RUNTIMES",
    "Ended",
    "RunOptions",
    "RunResult",
    "Runtime",
    "RuntimeVersion",
    "Streams",
    "Volume",
    "find_runtime",
    "remove_left",
    "run",
    "run_bundle",
    "settle",
]
