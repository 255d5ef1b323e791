"""`orlop layout`: image layouts in directories and archives, without a store."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

from orlop.cli.failure import DONE, VERIFICATION, UsageError
from orlop.cli.layout_places import (
    check_ref_name,
    find,
    not_found,
    open_to_read,
    open_to_write,
)
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, clean, human_size, print_json, print_table
from orlop.cli.settings import refuse_empty
from orlop.digest import Digest
from orlop.errors import InvalidDigestError, NotFoundError, OrlopError
from orlop.layout import (
    LayoutProvider,
    collect,
    init,
    new_blob_writer,
    open_blob,
    read_blob,
    read_image_layout,
    read_index,
    sharing,
    update_index,
    validate,
    write_blob,
)
from orlop.layout.index import with_descriptor, without_ref_name
from orlop.mediatype import is_index, is_manifest, valid
from orlop.spec import (
    CONTAINERD_NAME,
    MAX_DOCUMENT_SIZE,
    REF_NAME,
    Descriptor,
    ImageConfig,
    Index,
    Manifest,
    decode_document,
)

if TYPE_CHECKING:
    from orlop.layout import ImageDriver
    from orlop.platform import Platform

_PIECE = 1 << 20
_DIGITS = 12
_STDIN = "-"


def create(place: str, /) -> None:
    """Make a layout without images.

    Args:
        place: A directory, or an archive where it ends in .tar; oci:DIR and oci-archive:FILE
            say which it is.
    """
    with open_to_write(place, new=True) as driver:
        init(driver)


def list_images(place: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """List what a layout's index names.

    Args:
        place: A directory or an archive.
        format: How to print: table or json; json has the whole descriptors.
    """
    with open_to_read(place) as driver:
        read_image_layout(driver)
        index = read_index(driver)
        if format == "json":
            print_json([each.encode() for each in index.manifests])
            return
        rows = list(_rows(driver, index))
    print_table(rows, ["name", "digest", "platform", "size"])


def put(
    place: str,
    file: Annotated[str, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    media_type: str,
    ref: str | None = None,
    annotation: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
) -> None:
    """Store a file as a blob, and print its digest.

    A manifest or an index is listed in the layout's index, under the name if one is given, which
    moves here if it is taken. Anything else is listed only under a name.

    Args:
        place: A directory or an archive.
        file: The content; - is standard input.
        media_type: What the content is.
        ref: The name to list it under.
        annotation: KEY=VALUE, for the entry in the index; as often as needed.
    """
    if not valid(media_type):
        raise UsageError(f"{media_type!r} is no media type", hint="write TYPE/SUBTYPE")
    is_document = is_index(media_type) or is_manifest(media_type)
    annotations = _annotations(annotation)
    if annotations and not is_document and ref is None:
        raise UsageError("only what is listed has annotations", hint="give it a name with --ref")
    if ref is not None:
        annotations[REF_NAME] = check_ref_name(ref)
    with _opened(file) as stream, open_to_write(place) as driver:
        read_index(driver)
        with sharing(driver):
            found = _store(driver, stream, media_type, is_document=is_document)
            if is_document or ref is not None:
                _list(driver, replace(found, annotations=annotations))
    print(found.digest)


def tag(place: str, name: str, new: Annotated[str, Parameter(validator=refuse_empty)], /) -> None:
    """Give an image of a layout one more name; a name that is taken moves here.

    Args:
        place: A directory or an archive.
        name: A name in the layout, or a digest that its index lists.
        new: The other name.
    """
    check_ref_name(new)

    def add(index: Index) -> Index:
        found = find(index, name, place)
        annotations = {**found.annotations, REF_NAME: new}
        annotations.pop(CONTAINERD_NAME, None)  # That is the other name in full.
        return with_descriptor(index, replace(found, annotations=annotations))

    with open_to_write(place) as driver:
        update_index(driver, add)


def remove(place: str, name: Annotated[str, Parameter(validator=refuse_empty)], /) -> None:
    """Take a name out of a layout; `orlop layout gc` frees what nothing needs then.

    Args:
        place: A directory or an archive.
        name: A name in the layout.
    """

    def drop(index: Index) -> Index:
        after = without_ref_name(index, name)
        if after is index:
            raise not_found(index, name, place)
        return after

    with open_to_write(place) as driver:
        update_index(driver, drop)


def concatenate(place: str, name: str, /) -> None:
    """Print a blob to standard output, byte for byte, and fail if it is not what its digest says.

    Args:
        place: A directory or an archive.
        name: A digest, or a name in the layout, which is its manifest's or index's.
    """
    sys.stdout.flush()
    with open_to_read(place) as driver:
        read_image_layout(driver)
        digest, size = _blob_of(driver, name, place)
        try:
            with open_blob(driver, digest, size) as reader:
                shutil.copyfileobj(reader, sys.stdout.buffer, _PIECE)
        finally:
            sys.stdout.buffer.flush()


def free(
    place: str,
    /,
    *,
    unfinished: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(alias="-n", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """Remove the blobs that nothing in a layout's index needs, and what killed writers have left.

    Nothing is removed unless all documents that say what is needed can be read. Whoever writes
    with orlop is waited for.

    Args:
        place: A directory or an archive.
        unfinished: Also remove blobs of the last hour, which others, such as skopeo, may have
            stored and not named yet.
        dry_run: Remove nothing; say what would go, one by one.
        format: How to print: table or json.
    """
    with open_to_read(place) if dry_run else open_to_write(place) as driver:
        removed = collect(driver, unfinished=unfinished, dry_run=dry_run)
    if format == "json":
        print_json([asdict(each) for each in removed])
    elif removed:
        rows = [[clean(each.path), human_size(each.size)] for each in removed]
        print_table(rows, ["would go" if dry_run else "removed", "size"])
    else:
        print("nothing to free")


def check(place: str, /, *, format: Format = "table") -> int:  # noqa: A002
    """Find out whether a layout is what the image-spec says.

    Prints what breaks it, where, and the section that is broken; the exit code is 4 then. Notes
    are about what the specification allows and readers may stumble over.

    Args:
        place: A directory or an archive.
        format: How to print: table or json.
    """
    violations = []
    broken = False
    with open_to_read(place) as driver:
        for violation in validate(driver):
            broken = broken or violation.severity == "must"
            if format == "json":
                violations.append(asdict(violation))
            else:
                print(clean(f"{violation.severity}: {violation}"))
    if format == "json":
        print_json(violations)
    return VERIFICATION if broken else DONE


def _rows(driver: ImageDriver, index: Index) -> Iterator[list[str]]:
    """Name, digest, platforms and size of each entry; each image is looked into once."""
    from orlop.images import platforms, usage

    provider = LayoutProvider(driver)
    known: dict[Digest, tuple[str, str]] = {}
    for each in index.manifests:
        if each.digest not in known:
            try:
                found = ", ".join(map(str, platforms(provider, each)))
                known[each.digest] = found, human_size(usage(provider, each))
            except OrlopError:
                known[each.digest] = "?", "?"
        name = each.annotations.get(REF_NAME, "")
        yield [
            name,
            str(each.digest)[: len(each.digest.algorithm) + 1 + _DIGITS],
            *known[each.digest],
        ]


@contextlib.contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    if file == _STDIN:
        yield sys.stdin.buffer
        return
    with Path(file).open("rb") as stream:
        yield stream


def _store(
    driver: ImageDriver, stream: IO[bytes], media_type: str, *, is_document: bool
) -> Descriptor:
    """Store the stream, of which a manifest or an index must be one; its descriptor."""
    if not is_document:
        with new_blob_writer(driver) as writer:
            size = 0
            while piece := stream.read(_PIECE):
                size += writer.write(piece)
            return Descriptor(media_type=media_type, digest=writer.commit(size), size=size)
    raw = stream.read(MAX_DOCUMENT_SIZE + 1)
    document = decode_document(raw, media_type)
    write_blob(driver, raw)
    platform = _platform(driver, document) if isinstance(document, Manifest) else None
    return replace(document.descriptor(), media_type=media_type, platform=platform)


def _list(driver: ImageDriver, descriptor: Descriptor) -> None:
    """Put a descriptor into the index, unless the very same is there."""
    update_index(
        driver,
        lambda index: (
            index if descriptor in index.manifests else with_descriptor(index, descriptor)
        ),
    )


def _platform(driver: ImageDriver, manifest: Manifest) -> Platform | None:
    """What an image runs on, if the layout has its config."""
    if not manifest.is_image:
        return None
    try:
        raw = read_blob(driver, manifest.config.digest)
        return ImageConfig.decode(raw, manifest.config.media_type).platform
    except OrlopError:
        return None


def _annotations(words: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise UsageError(f"{word!r} is no annotation", hint="write KEY=VALUE")
        found[key] = value
    return found


def _blob_of(driver: ImageDriver, name: str, place: str) -> tuple[Digest, int | None]:
    """The blob that a name or a digest means, and its size where that is known."""
    try:
        found = find(read_index(driver), name, place)
    except NotFoundError:
        try:
            return Digest(name), None
        except InvalidDigestError:
            pass
        raise
    return found.digest, found.size
