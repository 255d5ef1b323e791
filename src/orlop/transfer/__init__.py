"""Moving images into a store."""

from orlop.transfer.parallel import Cancellation, CancelledError
from orlop.transfer.place import SourceOptions, open_source
from orlop.transfer.progress import Progress, ProgressCallback, Reporter, Stage
from orlop.transfer.pull import Pull, PullOptions
from orlop.transfer.select import Selection, select
from orlop.transfer.source import BlobStream, ImageSource

__all__ = [
    "BlobStream",
    "Cancellation",
    "CancelledError",
    "ImageSource",
    "Progress",
    "ProgressCallback",
    "Pull",
    "PullOptions",
    "Reporter",
    "Selection",
    "SourceOptions",
    "Stage",
    "open_source",
    "select",
]
