"""`orlop check`, `orlop dedup`, `orlop shutdown` and `orlop wipe`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from orlop.cli.failure import DONE, VERIFICATION, UsageError
from orlop.cli.parameter import Parameter
from orlop.cli.registry import DEFAULT_FLAGS, RegistryFlags
from orlop.cli.render import Format, human_size, print_json, print_table
from orlop.cli.settings import become_owner, open_existing, open_for_reading, store_exists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orlop.storage.check import Finding, Repaired, Report


def check(
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    repair: Annotated[bool, Parameter(negative="")] = False,
    fetch: Annotated[bool, Parameter(negative="")] = False,
    force: Annotated[bool, Parameter(negative="")] = False,
    format: Format = "table",  # noqa: A002
    registry: RegistryFlags = DEFAULT_FLAGS,
) -> int:
    """Hold everything in the store against everything else, and say what is wrong.

    Others may go on working meanwhile, and what is mounted stays mounted. The exit code is 4 where
    something is damaged; what killed processes have left behind, and gc frees, is told and no
    damage.

    Args:
        quick: Compare lengths, and read no bytes but documents.
        repair: Mend what can be mended: make it again from what is here, or remove what nothing
            needs.
        fetch: With --repair, fetch blobs again from the registries that the names of their images
            say.
        force: With --repair, also remove records whose content is lost for ever: layers, with what
            stands on them, images and containers.
        format: How to print: table or json.
        registry: How registries are reached.
    """
    if (fetch or force) and not repair:
        raise UsageError("--fetch and --force say how to mend", hint="give --repair with them")
    if not store_exists():
        print_json({"findings": []}) if format == "json" else print("nothing is wrong")
        return DONE
    become_owner()
    if not repair:
        with open_for_reading() as store:
            return _tell(store.check(quick=quick), format)
    with open_existing() as store:
        options = registry.options_for("docker://") if fetch else None
        return _tell_repaired(
            store.repair(quick=quick, fetch=fetch, force=force, options=options), format
        )


def dedup() -> None:
    """Let files of the same content in layers' directories share their blocks on the disk.

    Prints how many bytes do, those that did before counted too. Nothing that anybody sees changes,
    and others may go on working. It needs a filesystem that can: XFS or btrfs.
    """
    shared = 0
    if store_exists():
        with open_existing() as store:
            shared = store.dedup()
    print(f"{human_size(shared)} are shared")


def shutdown(*, force: Annotated[bool, Parameter(alias="-f", negative="")] = False) -> None:
    """Take away all mounts of the store: of images, layers and containers.

    Prints where they were.

    Args:
        force: Also those that are in use, or that processes hold.
    """
    if store_exists():
        with open_existing() as store:
            for target in store.shutdown(force=force):
                print(target)


def wipe(*, force: Annotated[bool, Parameter(alias="-f", negative="")] = False) -> None:
    """Remove everything that is in the store: mounts, containers, images, layers and blobs.

    What leases keep stays.

    Args:
        force: Do it: nothing can be brought back, and nobody is asked.
    """
    if not force:
        raise UsageError("this removes all images and containers", hint="say so with --force")
    if store_exists():
        become_owner()
        with open_existing() as store:
            store.wipe(force=True)


def _tell(report: Report, format: Format) -> int:  # noqa: A002
    if format == "json":
        print_json(report.encode())
    elif not report.findings:
        print("nothing is wrong")
    else:
        _print_findings([(each, _remedy(each)) for each in report.findings])
    if report.damaged:
        print(f"hint: {_next_step(report)}", file=sys.stderr)
    return VERIFICATION if report.damaged else DONE


def _tell_repaired(repaired: Repaired, format: Format) -> int:  # noqa: A002
    if format == "json":
        print_json(repaired.encode())
    else:
        rows = [(each, _mended(each)) for each in repaired.mended]
        rows += [(each, f"left: {why}") for each, why in repaired.failed]
        _print_findings(rows) if rows else print("nothing is wrong")
        for each in repaired.removed:
            print(f"removed {each}")
    return VERIFICATION if repaired.left.damaged else DONE


def _print_findings(found: Sequence[tuple[Finding, str]]) -> None:
    rows = [[each.damage, each.subject, each.what, remedy] for each, remedy in found]
    print_table(rows, ["damage", "of", "what", "remedy"])


def _next_step(report: Report) -> str:
    """What mends the most of what was found, and loses nothing where that can be had."""
    remedies = {each.remedy for each in report.damaged}
    if remedies & {"rebuild", "remove"}:
        return "`orlop check --repair` mends what can be mended"
    if "fetch" in remedies:
        return "`orlop check --repair --fetch` fetches again what registries have"
    if "force" in remedies:
        return "restore what is lost from a copy, or give it up by `orlop check --repair --force`"
    return "nothing that orlop knows mends that: restore the store from a copy"


def _mended(finding: Finding) -> str:
    return "removed" if finding.remedy in {"remove", "force"} else "mended"


def _remedy(finding: Finding) -> str:
    from orlop.storage.check import REMEDIES

    return REMEDIES[finding.remedy]
