"""`orlop layer`: copy-on-write trees with one parent each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

from orlop.cli.failure import UsageError, for_each
from orlop.cli.objects import (
    change_documents,
    common_facts,
    data_document,
    mapping_document,
    mapping_facts,
    parse_mapping,
    print_changes,
    read_metadata,
    short,
    unmount_each,
)
from orlop.cli.parameter import Parameter
from orlop.cli.render import (
    Format,
    human_age,
    human_size,
    print_facts,
    print_json,
    print_table,
)
from orlop.cli.settings import (
    become_owner,
    open_existing,
    open_for_reading,
    open_store,
    refuse_empty,
    store_exists,
)
from orlop.cli.streams import STREAM, open_input, write_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orlop.storage.layers.record import Layer, Users

_TAR = "the tar"
_INDENT = "  "


def create(
    parent: str | None = None,
    /,
    *,
    name: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    id: str | None = None,  # noqa: A002
    metadata: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    read_only: Annotated[bool, Parameter(negative="")] = False,
    source: Annotated[
        str | None, Parameter(name="--from", allow_leading_hyphen=True, validator=refuse_empty)
    ] = None,
    uidmap: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    gidmap: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
) -> None:
    """Make a layer, and print its ID.

    Args:
        parent: The layer that it stands on, which takes no writes from then on; none without it.
        name: What it is called; may be given several times.
        id: Its ID; a random one if it is not said.
        metadata: What is noted about it; - reads it from standard input.
        read_only: It is never mounted for writing.
        source: A tar that it is made of, compressed or not; - is standard input.
        uidmap: CONTAINER:HOST:SIZE, users that it is seen through; may be given several times.
        gidmap: Groups likewise; one of both options alone is for both.
    """
    if metadata == source == STREAM:
        raise UsageError("standard input is either the metadata or the tar")
    mapping = parse_mapping(uidmap, gidmap)
    metadata = read_metadata(metadata)
    with open_store() as store:
        if source is None:
            made = store.layers.create(
                parent, id=id, names=name, metadata=metadata, read_only=read_only,
                id_mapping=mapping,
            )  # fmt: skip
        else:
            with open_input(source, _TAR) as stream:
                made = store.layers.put(
                    stream, parent, id=id, names=name, metadata=metadata, read_only=read_only,
                    id_mapping=mapping,
                )  # fmt: skip
    print(made.id)


def list_layers(
    *,
    tree: Annotated[bool, Parameter(negative="")] = False,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the layers: those that were made here, and those of images.

    Args:
        tree: List each below its parent, moved to the right.
        quiet: Print IDs alone.
        format: How to print: table or json.
    """
    found: tuple[Layer, ...] = ()
    if store_exists():
        with open_for_reading() as store:
            found = store.layers.list()
    listed = list(_in_tree(found)) if tree else [(0, layer) for layer in found]
    if quiet:
        for _, layer in listed:
            print(layer.id)
    elif format == "json":
        print_json([_summary(layer) for _, layer in listed])
    else:
        now = time.time_ns()
        rows = [[_INDENT * depth + short(layer.id), *_cells(layer, now)] for depth, layer in listed]
        print_table(rows, ["id", "parent", "names", "kind", "size", "created"])


def inspect(layer: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """Show what is known about a layer, and who needs it.

    Args:
        layer: An ID, a name or a unique prefix of an ID.
        format: How to print: table or json.
    """
    with open_for_reading() as store:
        found = store.layers.get(layer)
        users, data = store.layers.users(found.id), store.layers.data.list(found.id)
    if format == "json":
        needed = {
            "layers": users.layers,
            "images": users.images,
            "containers": users.containers,
            "mounts": users.mounts,
        }
        print_json({**_summary(found), "data": data_document(data), "users": needed})
        return
    facts = [*_facts(found), *common_facts(found.metadata, found.created_at_ns, data)]
    facts += [*mapping_facts(found.id_mapping), *_user_facts(users)]
    print_facts([(name, value) for name, value in facts if value])


def remove(layer: str, /, *more: str) -> int:
    """Remove layers that nobody needs, and print their IDs.

    Args:
        layer: An ID, a name or a unique prefix of an ID.
        more: Further ones.
    """
    become_owner()
    with open_existing() as store:

        def delete(key: str) -> None:
            found = store.layers.resolve(key)
            store.layers.delete(found)
            print(found)

        return for_each((layer, *more), delete)


def mount(
    layer: str,
    /,
    *more: str,
    read_only: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Show layers as directories, and print where they are.

    Each takes writes if it can, and stays until `orlop layer umount`, or the next start of the
    machine.

    Args:
        layer: An ID, a name or a unique prefix of an ID.
        more: Further ones.
        read_only: Take no writes.
    """
    wanted = True if read_only else None
    with open_existing() as store:
        # All are looked up before one is mounted: a second word may be meant as a place.
        found = [store.layers.resolve(key) for key in (layer, *more)]
        return for_each(
            found, lambda key: print(store.layers.mount(key, read_only=wanted, keep=True).path)
        )


def unmount(
    layer: str,
    /,
    *more: str,
    force: Annotated[bool, Parameter(alias="-f", negative="")] = False,
) -> int:
    """Take away what `orlop layer mount` shows; of several mounts of a layer, one.

    Args:
        layer: An ID, a name or a unique prefix of an ID.
        more: Further ones.
        force: All of them, also while they are in use.
    """
    with open_existing() as store:
        return unmount_each("layer", store.layers, (layer, *more), force=force)


def changes(
    layer: str,
    base: str | None = None,
    /,
    *,
    format: Format = "table",  # noqa: A002
) -> None:
    """List what a layer adds to another, changes and deletes: A, C or D, and the path.

    Args:
        layer: An ID, a name or a unique prefix of an ID.
        base: The other one; its parent if it is not said.
        format: How to print: table or json.
    """
    with open_for_reading() as store:
        found = store.layers.changes(layer, base)
    if format == "json":
        print_json(change_documents(found))
    else:
        print_changes(found)


def diff(
    layer: str,
    base: str | None = None,
    /,
    *,
    output: Annotated[
        str, Parameter(alias="-o", allow_leading_hyphen=True, validator=refuse_empty)
    ] = STREAM,
    compress: Literal["none", "gzip", "zstd"] = "none",
) -> None:
    """Print what a layer adds to another, as a tar.

    Compared with its parent, a layer that was made of a tar is that tar, byte for byte.

    Args:
        layer: An ID, a name or a unique prefix of an ID.
        base: The other one; its parent if it is not said.
        output: The file, replaced when the tar is whole; standard output by default.
        compress: none, gzip or zstd.
    """
    with (
        open_for_reading() as store,
        store.layers.diff(layer, base, compression=compress) as stream,
    ):
        write_output(stream, output, _TAR)


def apply(
    layer: str,
    source: Annotated[str, Parameter(allow_leading_hyphen=True, validator=refuse_empty)] = STREAM,
    /,
) -> None:
    """Change a layer by a tar: all of it, or nothing.

    Args:
        layer: An ID, a name or a unique prefix of an ID; it is not mounted, and none stands on it.
        source: The tar, compressed or not; standard input by default.
    """
    with open_existing() as store, open_input(source, _TAR) as stream:
        store.layers.apply_diff(layer, stream)


def _in_tree(layers: Sequence[Layer]) -> Iterator[tuple[int, Layer]]:
    """Each layer with its depth, behind its parent; what misses its parent is at the left."""
    known = {layer.id for layer in layers}
    children: dict[str | None, list[Layer]] = {}
    for layer in layers:
        parent = layer.parent if layer.parent in known else None
        children.setdefault(parent, []).append(layer)
    pending = [(0, layer) for layer in reversed(children.get(None, []))]
    while pending:
        depth, layer = pending.pop()
        yield depth, layer
        pending += [(depth + 1, child) for child in reversed(children.get(layer.id, []))]


def _kind(layer: Layer) -> str:
    if layer.additional:
        return "additional"
    if layer.pulled:
        return "image's"
    return "read-only" if layer.read_only else "own"


def _cells(layer: Layer, now: int) -> list[str]:
    return [
        "" if layer.parent is None else short(layer.parent),
        " ".join(layer.names),
        _kind(layer),
        "" if layer.diff_size is None else human_size(layer.diff_size),
        human_age(layer.created_at_ns, now) if layer.created_at_ns else "",
    ]


def _summary(layer: Layer) -> dict[str, object]:
    return {
        "id": layer.id,
        "names": layer.names,
        "parent": layer.parent,
        "diff_id": layer.diff_id,
        "diff_size": layer.diff_size,
        "chain_id": layer.chain_id,
        "compressed_digest": layer.compressed_digest,
        "compressed_size": layer.compressed_size,
        "compression": layer.compression,
        "form": layer.form,
        "read_only": layer.read_only,
        "pulled": layer.pulled,
        "metadata": layer.metadata,
        "flags": dict(layer.flags),
        "mount_label": layer.mount_label,
        "id_mapping": mapping_document(layer.id_mapping),
        "created_at_ns": layer.created_at_ns,
        "additional": layer.additional,
    }


def _facts(layer: Layer) -> list[tuple[str, str]]:
    size = "" if layer.diff_size is None else f"  {human_size(layer.diff_size)}"
    source = layer.compressed_digest
    return [
        ("id", layer.id),
        *(("name", name) for name in layer.names),
        ("parent", layer.parent or ""),
        ("kind", _kind(layer)),
        ("tar", f"{layer.diff_id}{size}" if layer.diff_id else ""),
        ("came in", f"{source}  {layer.compression}" if source else ""),
        ("stack", layer.chain_id or ""),
        ("directory", layer.form or ""),
        *(("flag", f"{key}={value}") for key, value in layer.flags.items()),
    ]


def _user_facts(users: Users) -> list[tuple[str, str]]:
    return [
        *(("below", each) for each in users.layers),
        *(("top of", each) for each in users.images),
        *(("container", each) for each in users.containers),
        *(("mounted", each) for each in users.mounts),
    ]
