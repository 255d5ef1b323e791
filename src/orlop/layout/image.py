"""An image layout through its driver: made, and its two documents read and written.

Spec: image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orlop.errors import AlreadyExistsError, NotFoundError, OrlopError, UnsupportedError
from orlop.layout.driver.access import locked, open_file, read_file, write_file
from orlop.layout.driver.path import INDEX_FILE, LAYOUT_FILE
from orlop.layout.index import decode_index, encode_index, with_descriptor, without_ref_name
from orlop.spec.index import Index
from orlop.spec.layout import LAYOUT_VERSION, MAX_INDEX_SIZE, MAX_LAYOUT_SIZE, ImageLayout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orlop.layout.driver.protocol import ImageDriver
    from orlop.spec.descriptor import Descriptor

LAYOUT_MODE: Final = 0o444
INDEX_MODE: Final = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class InitOptions:
    """How a layout begins.

    Attributes:
        version: Of the layout's form.
        skip_layout: Write no `oci-layout`: the caller will.
        skip_index: Write no `index.json`: the caller will, as it must where a driver only appends.
    """

    version: str = LAYOUT_VERSION
    skip_layout: bool = False
    skip_index: bool = False


def init(driver: ImageDriver, options: InitOptions = InitOptions()) -> None:
    """Make a layout without images: its directories, `oci-layout` (0444), `index.json` (0644).

    Raises:
        AlreadyExistsError: Something is there; it is left as it is.
        UnsupportedError: The driver only reads.
        OSError: It could not be made (EACCES, ENOSPC).
    """
    driver.init()
    with locked(driver):
        _refuse_existing(driver, INDEX_FILE)
        if not options.skip_layout:
            write_image_layout(driver, ImageLayout(version=options.version))
        if not options.skip_index:
            write_index(driver, Index(manifests=()))


def read_image_layout(driver: ImageDriver) -> ImageLayout:
    """What the file `oci-layout` says.

    Raises:
        NotFoundError: There is no such file: this is no layout.
        InvalidDocumentError: It is broken.
        UnsupportedError: It marks a layout of another form; or the driver only writes.
        LimitExceededError: It is larger than it may be.
    """
    with _document(driver, LAYOUT_FILE):
        raw = read_file(driver, LAYOUT_FILE, limit="MAX_LAYOUT_SIZE", most=MAX_LAYOUT_SIZE)
        return ImageLayout.decode(raw)


def write_image_layout(driver: ImageDriver, layout: ImageLayout) -> None:
    """Write the file `oci-layout`, also where one is that nobody may write.

    Raises:
        UnsupportedError: The driver only reads, or cannot replace what is there.
        OSError: It could not be stored; what was there is there still.
    """
    write_file(driver, LAYOUT_FILE, layout.encode(), LAYOUT_MODE)


def read_index(driver: ImageDriver) -> Index:
    """What the file `index.json` says, unknown members kept.

    Raises:
        NotFoundError: There is no such file: this is no layout.
        InvalidDocumentError: It is broken.
        LimitExceededError: It is larger than it may be, or lists too much.
        UnsupportedError: The driver only writes.
    """
    with _document(driver, INDEX_FILE):
        raw = read_file(driver, INDEX_FILE, limit="MAX_INDEX_SIZE", most=MAX_INDEX_SIZE)
        return decode_index(raw)


def write_index(driver: ImageDriver, index: Index) -> None:
    """Write the file `index.json`, in one step.

    Whoever writes what follows from what was read uses `update_index`, which loses no other's
    change.

    Raises:
        InvalidDocumentError: It could not be read again.
        LimitExceededError: It is larger than what can be read again, or lists too much.
        UnsupportedError: The driver only reads, or cannot replace what is there.
        OSError: It could not be stored; what was there is there still.
    """
    write_file(driver, INDEX_FILE, encode_index(index), INDEX_MODE)


def update_index(driver: ImageDriver, change: Callable[[Index], Index]) -> Index:
    """Read the index, change it and write it, while nobody else does; what it is now.

    Nothing is written where nothing changed.

    Args:
        driver: The layout.
        change: From the index that is there to the one that shall be; called once, under the
            driver's lock, so that it must not change the layout itself.

    Raises:
        NotFoundError: There is no index: this is no layout.
        InvalidDocumentError: The index is broken, or would be.
        LimitExceededError: It is, or would be, larger than it may be.
        UnsupportedError: The driver cannot do this.
        OSError: It could not be stored; what was there is there still.
    """
    with locked(driver):
        before = read_index(driver)
        after = change(before)
        if after is not before:
            raw = encode_index(after, known=before.manifests)
            write_file(driver, INDEX_FILE, raw, INDEX_MODE)
    return after


def put_manifest_descriptor_to_index(driver: ImageDriver, descriptor: Descriptor) -> None:
    """Append a descriptor to the index; its ref.name, where it has one, moves to it.

    Raises:
        NotFoundError: There is no index: this is no layout.
        InvalidDocumentError: The index is broken, or the descriptor is not as it must be.
        LimitExceededError: The index would be larger than it may be.
        UnsupportedError: The driver cannot change what is written.
        OSError: It could not be stored; what was there is there still.
    """
    update_index(driver, lambda index: with_descriptor(index, descriptor))


def remove_manifest_descriptor_from_index(driver: ImageDriver, ref_name: str) -> None:
    """Take the descriptors of this ref.name from the index; success also if there is none.

    Raises:
        ValueError: The name is empty.
        NotFoundError: There is no index: this is no layout.
        InvalidDocumentError: The index is broken.
        UnsupportedError: The driver cannot change what is written.
        OSError: It could not be stored; what was there is there still.
    """
    if not ref_name:
        raise ValueError("the reference name is empty")
    update_index(driver, lambda index: without_ref_name(index, ref_name))


def _refuse_existing(driver: ImageDriver, path: str) -> None:
    """Lose nothing to two that make the same layout at once."""
    try:
        open_file(driver, path).close()
    except (NotFoundError, UnsupportedError):
        return
    raise AlreadyExistsError(f"{driver} has been made by somebody else meanwhile")


@contextmanager
def _document(driver: ImageDriver, path: str) -> Iterator[None]:
    """Let errors say which document of which layout they are about."""
    try:
        yield
    except NotFoundError as error:
        raise NotFoundError(
            f"{driver} is no image layout: it has no {path}", hint="make one with `init`"
        ) from error
    except OrlopError as error:
        raise error.inside(f"{driver}: {path}")
