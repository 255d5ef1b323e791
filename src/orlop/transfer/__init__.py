"""Moving images: into a store, and between any two places."""

from orlop.transfer.choose import choose_stored
from orlop.transfer.convert import to_oci
from orlop.transfer.copy import Copied, Item, copy
from orlop.transfer.destination import CopyOptions, copy_opened, parse_destination
from orlop.transfer.jobs import DEFAULT_JOBS, MAX_JOBS
from orlop.transfer.opened import OpenedImage, open_archive, open_image, open_images
from orlop.transfer.place import LOCAL_PREFIXES, SourceOptions, is_local, open_source
from orlop.transfer.plan import Plan, make_plan
from orlop.transfer.planned import PlannedSource
from orlop.transfer.progress import Progress, ProgressCallback, Reporter, Stage
from orlop.transfer.pull import Pull, PullOptions
from orlop.transfer.select import Selection, select
from orlop.transfer.source import ImageSource
from orlop.transfer.stored import StoreSource
from orlop.transfer.target import BlobTarget, ImageTarget

__all__ = [
    "DEFAULT_JOBS", "LOCAL_PREFIXES", "MAX_JOBS", "BlobTarget", "Copied", "CopyOptions",
    "ImageSource", "ImageTarget", "Item", "OpenedImage", "Plan", "PlannedSource", "Progress",
    "ProgressCallback", "Pull", "PullOptions", "Reporter", "Selection", "SourceOptions", "Stage",
    "StoreSource", "choose_stored", "copy", "copy_opened", "is_local", "make_plan",
    "open_archive", "open_image", "open_images", "open_source", "parse_destination", "select",
    "to_oci",
]  # fmt: skip
