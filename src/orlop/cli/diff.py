"""`orlop diff`: what one image has otherwise than another."""

from __future__ import annotations

from typing import Annotated, Literal

from orlop.cli.failure import UsageError
from orlop.cli.objects import change_documents, print_changes
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, print_json
from orlop.cli.settings import open_for_reading, refuse_empty
from orlop.cli.streams import STREAM, write_output


def diff(
    old: str,
    new: str,
    /,
    *,
    tar: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[
        str, Parameter(alias="-o", allow_leading_hyphen=True, validator=refuse_empty)
    ] = STREAM,
    compress: Literal["none", "gzip", "zstd"] = "none",
    platform: str | None = None,
    format: Format = "table",  # noqa: A002
) -> None:
    """List what one image adds to another, changes and deletes: A, C or D, and the path.

    Args:
        old: The image before: a name, an ID or a unique prefix of an ID.
        new: The image after.
        tar: Print what makes the one of the other instead, as the tar of a layer.
        output: The file of that tar, replaced when it is whole; standard output by default.
        compress: How the tar is compressed: none, gzip or zstd.
        platform: Which image of several that are stored.
        format: How to print: table or json.
    """
    if not tar and (output != STREAM or compress != "none"):
        raise UsageError("--output and --compress are for --tar")
    with open_for_reading() as store:
        found = store.diff(old, new, platform=platform)
        if tar:
            with found.open(compress=compress) as stream:
                write_output(stream, output, "the tar")
            return
        changes = found.changes()
    if format == "json":
        print_json(change_documents(changes))
    else:
        print_changes(changes)
