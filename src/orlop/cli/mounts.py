"""`orlop mount` and `orlop umount`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

from orlop.cli.failure import for_each
from orlop.cli.objects import short
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, print_json, print_table
from orlop.cli.settings import open_existing, open_for_reading, refuse_empty, store_exists

if TYPE_CHECKING:
    from orlop.store.mount import MountInfo


def mount(
    image: str | None = None,
    target: Annotated[str | None, Parameter(validator=refuse_empty)] = None,
    /,
    *,
    driver: Literal["erofs", "overlay", "directory"] | None = None,
    format: Format = "table",  # noqa: A002
) -> None:
    """Mount an image read-only and print where it is; without arguments list all mounts.

    The mount stays until `orlop umount`, or the next start of the machine. Without the right to
    mount, the image is written to a directory, which is printed.

    Args:
        image: A name, an ID or a unique prefix of an ID.
        target: An existing directory; a place of orlop's own by default, which is shared.
        driver: What mounts it; what is there already by default, or what suits the machine.
        format: How to list mounts: table or json.
    """
    if image is None:
        _list_mounts(format)
        return
    with open_existing() as store:
        print(store.image(image).mount(target, driver=driver, keep=True).path)


def unmount(
    target: Annotated[str, Parameter(validator=refuse_empty)],
    /,
    *more: Annotated[str, Parameter(validator=refuse_empty)],
    lazy: Annotated[bool, Parameter(alias="-l", negative="")] = False,
) -> int:
    """Unmount what is mounted, also layers and containers; of several mounts at one place, one.

    Args:
        target: A directory; or an image, for what is mounted at orlop's own place.
        more: Further ones.
        lazy: Also while it is in use: it is gone for newcomers at once.
    """
    with open_existing() as store:
        return for_each((target, *more), lambda each: store.unmount(each, lazy=lazy))


def _list_mounts(output: Format) -> None:
    found = []
    if store_exists():
        with open_for_reading() as store:
            found = store.mounts()
    if output == "json":
        print_json([asdict(each) for each in found])
        return
    rows = [
        [each.target, _subject(each), each.driver, str(len(each.pids) + each.kept)]
        for each in found
    ]
    print_table(rows, ["target", "what", "driver", "holders"])


def _subject(mount: MountInfo) -> str:
    """What is mounted, for people."""
    if mount.container is not None:
        return f"container {mount.name or short(mount.container)}"
    if mount.layer is not None:
        return f"layer {mount.name or short(mount.layer)}"
    return mount.image or f"stack {short(mount.stack.encoded if mount.stack else '')}"
