"""Moving images into a store."""

from orlop.transfer.place import LOCAL_PREFIXES, SourceOptions, is_local, open_source
from orlop.transfer.progress import Progress, ProgressCallback, Reporter, Stage
from orlop.transfer.pull import DEFAULT_JOBS, MAX_JOBS, Pull, PullOptions
from orlop.transfer.select import Selection, select
from orlop.transfer.source import BlobStream, ImageSource

__all__ = [
    "DEFAULT_JOBS",
    "LOCAL_PREFIXES",
    "MAX_JOBS",
    "BlobStream",
    "ImageSource",
    "Progress",
    "ProgressCallback",
    "Pull",
    "PullOptions",
    "Reporter",
    "Selection",
    "SourceOptions",
    "Stage",
    "is_local",
    "open_source",
    "select",
]
