"""What a command says about a parameter of its, beside its type and its docstring.

Both readers of command lines understand it: `orlop.cli.quick`, and cyclopts, which
`orlop.cli.full` tells of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self


class Parameter(NamedTuple):
    """How an argument is given; all but the last are words of cyclopts, and mean the same.

    Attributes:
        name: What the option is called, instead of what the parameter is.
        alias: A short name of it.
        negative: What turns a flag off; nothing where empty, and None for `--no-` and the name.
        show_default: Whether its page tells the default.
        allow_leading_hyphen: Whether a value may begin with one.
        validator: Raises `ValueError` where a value means nothing.
        takes_rest: Whether these words are a command's, which has options of its own: they begin
            behind the words before them, where `--` is put for cyclopts.
    """

    name: str | None = None
    alias: str | None = None
    negative: str | None = None
    show_default: bool | None = None
    allow_leading_hyphen: bool = False
    validator: Callable[[Any, Any], None] | None = None
    takes_rest: bool = False

    @classmethod
    def of(cls, said: Iterable[object]) -> Self | None:
        """All that is said beside a type, the last word of each counting; None for nothing."""
        found = [each for each in said if isinstance(each, cls)]
        if not found:
            return None
        told = (
            (name, value)
            for each in found
            for name, value in each._asdict().items()
            if value != cls._field_defaults[name]
        )
        return cls(**dict(told))
