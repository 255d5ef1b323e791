"""Running containers, by an OCI runtime that is installed."""

from orlop.runtime.bundle import Ended, Streams, run_bundle
from orlop.runtime.find import RUNTIMES, Runtime, RuntimeVersion, find_runtime

__all__ = [
    "RUNTIMES",
    "Ended",
    "Runtime",
    "RuntimeVersion",
    "Streams",
    "find_runtime",
    "run_bundle",
]
