"""`orlop images`, `orlop inspect` and `orlop rm`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

from orlop.cli.failure import UsageError, for_each
from orlop.cli.filters import check_filters
from orlop.cli.parameter import Parameter
from orlop.cli.render import (
    Format,
    human_age,
    human_size,
    human_time,
    print_bytes,
    print_facts,
    print_json,
    print_table,
)
from orlop.cli.settings import open_existing, open_for_reading, store_exists

if TYPE_CHECKING:
    from orlop.store import Image

_DIGITS = 12


def images(
    *,
    filter: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),  # noqa: A002
    quiet: Annotated[bool, Parameter(alias="-q", negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """List the images.

    Filters are about name, id, platform, size, createdat, updatedat, target.digest,
    target.mediatype, labels.KEY and annotations.KEY. A name is meant in full, as the list has it.

    Args:
        filter: Only those that it means, such as labels.team==sea, name~=/debian/,size>100MiB or
            updatedat<30d; may be given several times, and any of them is enough.
        quiet: Print IDs alone.
        format: How to print: table or json.
    """
    if filter:
        from orlop.images.lookup import IMAGE_FIELDS

        check_filters(filter, IMAGE_FIELDS)
    found = []
    if store_exists():
        with open_for_reading() as store:
            found = store.images(*filter)
    if quiet:
        for image_id in dict.fromkeys(image.id for image in found):
            print(image_id)
        return
    if format == "json":
        print_json([_summary(image) for image in found])
        return
    now = time.time_ns()
    rows = [
        [
            image.name,
            image.id.encoded[:_DIGITS],
            str(image.platform or ""),
            human_size(image.size),
            human_age(image.updated_at_ns, now),
        ]
        for image in found
    ]
    print_table(rows, ["name", "id", "platform", "size", "pulled"])


def inspect(
    image: str,
    /,
    *,
    raw: Annotated[bool, Parameter(negative="")] = False,
    manifest: Annotated[bool, Parameter(negative="")] = False,
    config: Annotated[bool, Parameter(negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> None:
    """Show what is known about an image.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        raw: Print the document that the name stands for, an index or a manifest, byte for byte.
        manifest: Print the image's manifest, byte for byte.
        config: Print the image's config, byte for byte.
        format: How to print: table or json; json has the whole manifest and config.
    """
    if raw + manifest + config > 1:
        raise UsageError("--raw, --manifest and --config exclude each other")
    with open_for_reading() as store:
        found = store.image(image)
        if raw:
            print_bytes(found.read_target())
        elif manifest:
            print_bytes(found.manifest.raw)
        elif config:
            print_bytes(found.config.raw)
        elif format == "json":
            print_json(_document(found))
        else:
            print_facts(_facts(found))


def remove(
    image: str,
    /,
    *more: str,
    force: Annotated[bool, Parameter(alias="-f", negative="")] = False,
) -> int:
    """Remove the names of images; `orlop gc` frees what nothing needs then.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        more: Further ones.
        force: Remove all the names that an ID has, and the last one though containers were made
            from the image.
    """
    with open_existing() as store:
        return for_each(
            (image, *more), lambda name: print(*store.remove(name, force=force), sep="\n")
        )


def _summary(image: Image) -> dict[str, object]:
    return {
        "name": image.name,
        "id": image.id,
        "platform": str(image.platform) if image.platform else None,
        "digest": image.target.digest,
        "size": image.size,
        "labels": image.labels,
        "created_at_ns": image.created_at_ns,
        "updated_at_ns": image.updated_at_ns,
    }


def _document(image: Image) -> dict[str, object]:
    return {
        **_summary(image),
        "names": image.names,
        "target": image.target.encode(),
        "manifest_digest": image.manifest_digest,
        "manifest": json.loads(image.manifest.raw),
        "config": json.loads(image.config.raw),
    }


def _facts(image: Image) -> list[tuple[str, str]]:
    config, manifest = image.config, image.manifest
    facts = [
        ("name", image.name),
        ("id", image.id),
        *(("label", f"{key}={value}") for key, value in image.labels.items()),
        *(("also", name) for name in image.names if name != image.name),
        ("digest", image.target.digest),
        ("manifest", image.manifest_digest if image.manifest_digest != image.target.digest else ""),
        ("platform", str(image.platform or "")),
        ("created", config.created or ""),
        ("pulled", human_time(image.updated_at_ns)),
        ("size", human_size(image.size)),
    ]
    run = config.config
    if run is not None:
        facts += [
            ("user", run.user),
            ("entrypoint", _command(run.entrypoint)),
            ("command", _command(run.cmd)),
            ("directory", run.working_dir),
            *(("environment", entry) for entry in run.env),
            *(("config label", f"{key}={value}") for key, value in run.labels.items()),
        ]
    facts += [("layer", f"{each.digest}  {human_size(each.size)}") for each in manifest.layers]
    return [(name, value) for name, value in facts if value]


def _command(words: tuple[str, ...] | None) -> str:
    return json.dumps(list(words)) if words else ""
