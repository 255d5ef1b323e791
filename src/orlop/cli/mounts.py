"""`orlop mount` and `orlop umount`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import Parameter

from orlop.cli.render import Format, print_json, print_table
from orlop.cli.settings import open_for_reading, open_store


def _check_target(_: object, target: str | tuple[str, ...] | None) -> None:
    """Refuse what an unset variable of a shell leaves: it would mean the working directory."""
    if target is not None and "" in (target if isinstance(target, tuple) else (target,)):
        raise ValueError("it is empty")


def mount(
    image: str | None = None,
    target: Annotated[str | None, Parameter(validator=_check_target)] = None,
    /,
    *,
    driver: Literal["erofs", "overlay", "directory"] | None = None,
    format: Format = "table",  # noqa: A002
) -> None:
    """Mount an image read-only and print where it is; without arguments list the mounts.

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
    with open_store() as store:
        print(store.image(image).mount(target, driver=driver, keep=True).path)


def unmount(
    target: Annotated[str, Parameter(validator=_check_target)],
    /,
    *more: Annotated[str, Parameter(validator=_check_target)],
    lazy: Annotated[bool, Parameter(alias="-l", negative="")] = False,
) -> None:
    """Unmount what `orlop mount` has mounted; of several mounts at one place, one.

    Args:
        target: A directory; or an image, for what is mounted at orlop's own place.
        more: Further ones.
        lazy: Also while it is in use: it is gone for newcomers at once.
    """
    with open_store() as store:
        for each in (target, *more):
            store.unmount(each, lazy=lazy)


def _list_mounts(output: Format) -> None:
    with open_for_reading() as store:
        found = store.mounts()
    if output == "json":
        print_json([asdict(each) for each in found])
        return
    rows = [
        [each.target, each.image, each.driver, str(len(each.pids) + each.kept)] for each in found
    ]
    print_table(rows, ["target", "image", "driver", "holders"])
