"""What a command says about a parameter of its, beside its type and its docstring.

Both readers of command lines understand it: `orlop.cli.quick`, and cyclopts, which
`orlop.cli.full` tells of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Parameter(NamedTuple):
    """How an argument is given; the words are those of cyclopts, and so is their meaning.

    Attributes:
        name: What the option is called, instead of what the parameter is.
        alias: A short name of it.
        negative: What turns a flag off; nothing where empty, and None for `--no-` and the name.
        show_default: Whether its page tells the default.
        allow_leading_hyphen: Whether a value may begin with one.
        validator: Raises `ValueError` where a value means nothing.
    """

    name: str | None = None
    alias: str | None = None
    negative: str | None = None
    show_default: bool | None = None
    allow_leading_hyphen: bool = False
    validator: Callable[[Any, Any], None] | None = None
