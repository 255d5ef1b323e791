"""`orlop image`: top layers with what belongs to them, pulled or made here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from orlop.cli.failure import for_each
from orlop.cli.objects import (
    common_facts,
    data_document,
    read_metadata,
    short,
    unmount_each,
)
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, human_age, print_facts, print_json, print_table
from orlop.cli.settings import open_existing, open_for_reading, open_store, store_exists

if TYPE_CHECKING:
    from orlop.storage.stored.record import StoredImage


def create(
    layer: str | None = None,
    /,
    *,
    name: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    id: str | None = None,  # noqa: A002
    metadata: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    digest: str | None = None,
) -> None:
    """Make an image of a layer, and print its ID.

    It has no manifest until `orlop image publish`; `orlop copy` and `orlop save` make one for it.

    Args:
        layer: Its top layer; without one it is an image without files.
        name: What it is called; may be given several times.
        id: Its ID; a random one if it is not said.
        metadata: What is noted about it; - reads it from standard input.
        digest: A digest that it is found by.
    """
    from orlop.digest import Digest

    wanted = None if digest is None else Digest(digest)
    metadata = read_metadata(metadata)
    with open_store() as store:
        made = store.stored_images.create(
            layer, id=id, names=name, metadata=metadata, digest=wanted
        )
    print(made.id)


def list_images(
    *,
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List images as `orlop images` does, one line each, and those without a name or a manifest.

    Args:
        quiet: Print IDs alone.
        format: How to print: table or json.
    """
    found: tuple[StoredImage, ...] = ()
    if store_exists():
        with open_for_reading() as store:
            found = store.stored_images.list()
    if quiet:
        for image in found:
            print(image.id)
    elif format == "json":
        print_json([_summary(image) for image in found])
    else:
        now = time.time_ns()
        rows = [
            [
                short(image.id),
                " ".join(image.names),
                "" if image.layer is None else short(image.layer),
                "yes" if image.pulled else "no",
                human_age(image.created_at_ns, now),
            ]
            for image in found
        ]
        print_table(rows, ["id", "names", "layer", "manifest", "created"])


def inspect(image: str, /, *, format: Format = "table") -> None:  # noqa: A002
    """Show what belongs to an image; `orlop inspect` shows its manifest and config.

    Args:
        image: An ID, a name or a unique prefix of an ID.
        format: How to print: table or json.
    """
    with open_for_reading() as store:
        found = store.stored_images.get(image)
        data = store.stored_images.data.list(found.id)
    if format == "json":
        print_json({**_summary(found), "data": data_document(data)})
        return
    former = [name for name in found.names_history if name not in found.names]
    facts = [
        ("id", found.id),
        *(("name", name) for name in found.names),
        *(("formerly", name) for name in former),
        ("layer", found.layer or ""),
        ("manifest", "yes" if found.pulled else "no"),
        *(("digest", digest) for digest in found.digests),
        *(("flag", f"{key}={value}") for key, value in found.flags.items()),
        *common_facts(found.metadata, found.created_at_ns, data),
    ]
    print_facts([(name, value) for name, value in facts if value])


def remove(
    image: str,
    /,
    *more: str,
    dry_run: Annotated[bool, Parameter(alias="-n", negative="")] = False,
) -> int:
    """Remove images with all their names, and print the IDs of the layers that go with them.

    Layers that something else needs stay.

    Args:
        image: An ID, a name or a unique prefix of an ID; no container was made from it.
        more: Further ones.
        dry_run: Remove nothing; say what would go.
    """
    with open_for_reading() if dry_run else open_existing() as store:

        def delete(key: str) -> None:
            for layer in store.stored_images.delete(key, dry_run=dry_run):
                print(layer)

        return for_each((image, *more), delete)


def mount(image: str, /, *more: str) -> int:
    """Show images as directories that take no writes, and print where they are.

    Those without a manifest, too; each stays until `orlop image umount`, or the next start of the
    machine.

    Args:
        image: An ID, a name or a unique prefix of an ID.
        more: Further ones.
    """
    with open_existing() as store:
        # All are looked up before one is mounted: a second word may be meant as a place.
        found = [store.stored_images.resolve(key) for key in (image, *more)]
        return for_each(found, lambda key: print(store.stored_images.mount(key, keep=True).path))


def unmount(
    image: str,
    /,
    *more: str,
    force: Annotated[bool, Parameter(alias="-f", negative="")] = False,
) -> int:
    """Take away what `orlop image mount` shows; of several mounts of an image, one.

    Args:
        image: An ID, a name or a unique prefix of an ID.
        more: Further ones.
        force: All of them, also while they are in use.
    """
    with open_existing() as store:
        return unmount_each("image", store.stored_images, (image, *more), force=force)


def publish(image: str, name: str | None = None, /, *more: str) -> None:
    """Make an image one that can be pushed, and print its new ID.

    It gets a manifest and a config: those among its data, where they fit its layers, else plain
    ones. The same image gets the same ones at any time. One that has them only gets the names.

    Args:
        image: An ID, a name or a unique prefix of an ID.
        name: What the image that is made is called; a name that is taken moves there.
        more: Further names.
    """
    with open_existing() as store:
        names = () if name is None else (name, *more)
        print(store.stored_images.publish(image, *names).id)


def _summary(image: StoredImage) -> dict[str, object]:
    return {
        "id": image.id,
        "names": image.names,
        "names_history": image.names_history,
        "layer": image.layer,
        "digest": image.digest,
        "digests": image.digests,
        "metadata": image.metadata,
        "flags": dict(image.flags),
        "created_at_ns": image.created_at_ns,
        "manifest": image.pulled,
        "additional": image.additional,
    }
