"""`orlop image check`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

from orlop.cli.failure import DONE, NOT_FOUND, VERIFICATION
from orlop.cli.parameter import Parameter
from orlop.cli.render import Format, print_json, print_table
from orlop.cli.settings import open_for_reading, store_exists

if TYPE_CHECKING:
    from orlop.store.check import ImageCheck

_HINTS: Final = {
    NOT_FOUND: "what is missing comes with another `orlop pull`, also with --all-platforms",
    VERIFICATION: "damaged images have to go (`orlop rm`, `orlop gc`) before they are pulled again",
}
_WORDS: Final = {DONE: "whole", NOT_FOUND: "incomplete", VERIFICATION: "damaged"}


def check(
    *images: str,
    quick: Annotated[bool, Parameter(negative="")] = False,
    all_platforms: Annotated[bool, Parameter(negative="")] = False,
    format: Format = "table",  # noqa: A002
) -> int:
    """Find out whether all that images need is stored, and undamaged.

    The exit code is 4 where something is damaged, else 3 where something is missing. What is
    missing comes back with another pull; what is damaged, after `orlop rm` and `orlop gc`.

    Args:
        images: Names, IDs or unique prefixes of IDs; all images without any.
        quick: Compare lengths, and read documents alone.
        all_platforms: Require all images of an index, not the one that was pulled.
        format: How to print: table or json.
    """
    found: list[ImageCheck] = []
    if images or store_exists():
        with open_for_reading() as store:
            meant = [store.image(name) for name in images] if images else store.images()
            found = [each.check(verify=not quick, all_platforms=all_platforms) for each in meant]
    if format == "json":
        print_json([_document(each) for each in found])
    else:
        print_table([row for each in found for row in _rows(each)], ["name", "is", "what", "why"])
    code = max(map(_code, found), default=DONE)
    if code in _HINTS:
        print(f"hint: {_HINTS[code]}", file=sys.stderr)
    return code


def _code(found: ImageCheck) -> int:
    if found.damaged:
        return VERIFICATION
    return NOT_FOUND if found.missing else DONE


def _rows(found: ImageCheck) -> list[list[str]]:
    wrong = [(each.digest, "is not stored") for each in found.missing]
    wrong += [(each.digest, str(error)) for each, error in found.damaged]
    word = _WORDS[_code(found)]
    return [[found.name, word, digest, why] for digest, why in wrong] or [
        [found.name, word, "", ""]
    ]


def _document(found: ImageCheck) -> dict[str, object]:
    return {
        "name": found.name,
        "is": _WORDS[_code(found)],
        "required": [str(each.digest) for each in found.required],
        "missing": [str(each.digest) for each in found.missing],
        "damaged": [
            {"digest": str(each.digest), "why": str(error)} for each, error in found.damaged
        ],
    }
