"""`orlop container`: layers to write to, made from images, and images made from them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from orlop.cli.failure import UsageError, for_each
from orlop.cli.objects import (
    change_documents,
    common_facts,
    data_document,
    mapping_document,
    mapping_facts,
    parse_ids,
    parse_mapping,
    print_changes,
    read_metadata,
    short,
    unmount_each,
)
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, human_age, print_facts, print_json, print_table
from orlop.cli.settings import (
    become_owner,
    become_root,
    open_existing,
    open_for_reading,
    open_store,
    refuse_empty,
    store_exists,
)
from orlop.cli.streams import STREAM, source_date_epoch, write_output
from orlop.errors import InUseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orlop.storage.stored.record import Container
    from orlop.store import Store

_SECOND = 10**9


def create(
    image: str | None = None,
    /,
    *,
    layer: str | None = None,
    name: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    id: str | None = None,  # noqa: A002
    metadata: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    uidmap: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    gidmap: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    ids: str | None = None,
    volatile: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Make a container, and print its ID.

    Args:
        image: The image that it is made from: a name, an ID or a unique prefix of an ID.
        layer: Instead, the layer that it stands on; with neither it is empty.
        name: What it is called; may be given several times.
        id: Its ID; a random one if it is not said.
        metadata: What is noted about it; - reads it from standard input.
        uidmap: CONTAINER:HOST:SIZE, users that it is seen through; may be given several times.
        gidmap: Groups likewise; one of both options alone is for both.
        ids: auto[:SIZE], to choose subordinate IDs that no other container has.
        volatile: A crash of the machine may lose what it writes, for which nobody waits then.
    """
    if image is not None and layer is not None:
        raise UsageError("an image and --layer exclude each other")
    mapping = parse_mapping(uidmap, gidmap)
    if ids is not None and mapping is not None:
        raise UsageError("--ids excludes --uidmap and --gidmap")
    wanted = mapping if ids is None else parse_ids(ids)
    metadata = read_metadata(metadata)
    with open_store() as store:
        made = store.containers.create(
            image, layer=layer, id=id, names=name, metadata=metadata, id_mapping=wanted,
            volatile=volatile,
        )  # fmt: skip
    print(made.id)


def list_containers(
    *,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the containers.

    Args:
        quiet: Print IDs alone.
        format: How to print: table or json.
    """
    found: tuple[Container, ...] = ()
    names: dict[str, str] = {}
    if store_exists():
        with open_for_reading() as store:
            found = store.containers.list()
            if found and not quiet:
                names = {
                    each.id: each.names[0] for each in store.stored_images.list() if each.names
                }
    if quiet:
        for container in found:
            print(container.id)
    elif format == "json":
        print_json([_summary(container) for container in found])
    else:
        now = time.time_ns()
        rows = [
            [
                short(container.id),
                " ".join(container.names),
                names.get(container.image, short(container.image)),
                short(container.layer),
                human_age(container.created_at_ns, now),
            ]
            for container in found
        ]
        print_table(rows, ["id", "names", "image", "layer", "created"])


def inspect(container: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """Show what is known about a container.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        format: How to print: table or json.
    """
    with open_for_reading() as store:
        found = store.containers.get(container)
        data = store.containers.data.list(found.id)
        mounts = store.layers.users(found.layer).mounts
    if format == "json":
        print_json({**_summary(found), "data": data_document(data), "mounts": mounts})
        return
    facts = [
        ("id", found.id),
        *(("name", name) for name in found.names),
        ("image", found.image),
        ("layer", found.layer),
        *(("flag", f"{key}={value}") for key, value in found.flags.items()),
        *common_facts(found.metadata, found.created_at_ns, data),
        *mapping_facts(found.id_mapping),
        *(("mounted", each) for each in mounts),
    ]
    print_facts([(name, value) for name, value in facts if value])


def remove(
    container: str,
    /,
    *more: str,
    force: Annotated[bool, Parameter(alias="-f", negative="")] = False,
) -> int:
    """Remove containers with all that they hold, and print their IDs.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        more: Further ones.
        force: Also while they are mounted: the mounts are taken away first.
    """
    from orlop.bundle.records import Bundles, record_of

    become_owner()
    with open_existing() as store:

        def delete(key: str) -> None:
            found = store.containers.get(key)
            bundle = record_of(found)
            if bundle is not None:
                Bundles(store.storage).require_idle(bundle)
            try:
                store.containers.delete(found.id, force=force)
            except InUseError as error:
                if bundle is not None:
                    error.hint = f"it is a bundle: orlop bundle rm {bundle.path}"
                raise
            print(found.id)

        return for_each((container, *more), delete)


def mount(
    container: str,
    /,
    *more: str,
    read_only: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show containers as directories, and print where they are.

    Device nodes and set-user-id bits inside work. Each stays until `orlop container umount`, or
    the next start of the machine.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        more: Further ones.
        read_only: Take no writes.
    """
    wanted = True if read_only else None
    with open_existing() as store:
        # All are looked up before one is mounted: a second word may be meant as a place.
        found = [store.containers.resolve(key) for key in (container, *more)]
        return for_each(
            found,
            lambda key: print(store.containers.mount(key, read_only=wanted, keep=True).path),
        )


def unmount(
    container: str,
    /,
    *more: str,
    force: Annotated[bool, Parameter(alias="-f", negative="")] = False,
) -> int:
    """Take away what `orlop container mount` shows; of several mounts of a container, one.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        more: Further ones.
        force: All of them, also while they are in use.
    """
    with open_existing() as store:
        return unmount_each("container", store.containers, (container, *more), force=force)


def changes(container: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """List what a container added, changed and deleted of its image: A, C or D, and the path.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        format: How to print: table or json.
    """
    with _opened(container) as store:
        found = store.containers.changes(container)
    if format == "json":
        print_json(change_documents(found))
    else:
        print_changes(found)


def diff(
    container: str,
    /,
    *,
    output: Annotated[
        str, Parameter(alias="-o", allow_leading_hyphen=True, validator=refuse_empty)
    ] = STREAM,
    compress: Literal["none", "gzip", "zstd"] = "none",
) -> None:
    """Print what a container changed of its image, as a tar.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        output: The file, replaced when the tar is whole; standard output by default.
        compress: none, gzip or zstd.
    """
    with (
        _opened(container) as store,
        store.containers.diff(container, compression=compress) as stream,
    ):
        write_output(stream, output, "the tar")


def commit(
    container: str,
    name: str | None = None,
    /,
    *more: str,
    author: str | None = None,
    comment: str | None = None,
    created_by: str | None = None,
    compress: Literal["none", "gzip", "zstd"] = "none",
) -> None:
    """Make an image of a container, and print its ID.

    What the container changed becomes a layer on those of its image; the container stays.
    SOURCE_DATE_EPOCH is the moment that the image says it was made.

    Args:
        container: An ID, a name or a unique prefix of an ID.
        name: What the image is called; a name that is taken moves there.
        more: Further names.
        author: Who made it.
        comment: What is to be said of it.
        created_by: The command that made it.
        compress: How the new layer is stored, and pushed: none, gzip or zstd.
    """
    seconds = source_date_epoch()
    names = () if name is None else (name, *more)
    with _opened(container) as store:
        image = store.containers.commit(
            container, *names, author=author, comment=comment, created_by=created_by,
            created_at_ns=None if seconds is None else seconds * _SECOND, compression=compress,
        )  # fmt: skip
    print(image.id)


@contextmanager
def _opened(container: str) -> Iterator[Store]:
    """The store, to look at what a container wrote: as its own root sees it, if a user ran it.

    Empty places that were made to mount at are none of it, unless it runs.
    """
    from orlop.bundle import Bundles
    from orlop.runtime import settle

    with open_for_reading() as store:
        form = store.layers.get(store.containers.get(container).layer).form
    if form == "user-diff":
        become_root()
    with open_for_reading() as store:
        if store.storage.database.read_only:
            yield store
            return
        settle(store.storage, container)
        with Bundles(store.storage).hiding_targets(container):
            yield store


def _summary(container: Container) -> dict[str, object]:
    return {
        "id": container.id,
        "names": container.names,
        "image": container.image or None,
        "layer": container.layer,
        "metadata": container.metadata,
        "flags": dict(container.flags),
        "id_mapping": mapping_document(container.id_mapping),
        "created_at_ns": container.created_at_ns,
    }
