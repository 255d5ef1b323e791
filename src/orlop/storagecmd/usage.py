"""What there is: the pages of help, as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.storagecmd.options import Kind
from orlop.storagecmd.verbs import COMMON, VERBS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orlop.storagecmd.options import Option
    from orlop.storagecmd.verbs import Verb

_WIDTH: Final = 30


def overview(program: str) -> list[str]:
    """All verbs."""
    return [
        f"Usage: {program} command [options [...]]",
        "",
        "Commands:",
        "",
        *(f"  {verb.names[0]:<{_WIDTH}}{verb.help}" for verb in VERBS),
        "",
        "Options:",
    ]


def page(program: str, name: str, verb: Verb) -> list[str]:
    """One verb, under the name that was used."""
    words = f"{program} {name} [options [...]] {verb.arguments}".rstrip()
    return [f"Usage: {words}", "", verb.help, "", "Options:"]


def option_lines(options: Iterable[Option] = ()) -> list[str]:
    """The options of a verb and those that all have."""
    both = sorted((*options, *COMMON), key=lambda option: option.key)
    return ["", *(f"  {_written(option):<{_WIDTH}}{option.help}" for option in both)]


def _written(option: Option) -> str:
    names = ", ".join(option.names)
    return f"{names}=[]" if option.kind is Kind.LIST else names
