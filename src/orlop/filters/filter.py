"""Filters: what is asked of a record, and the answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from orlop.filters.quantity import Time

if TYPE_CHECKING:
    from collections.abc import Callable

Value = str | int | Time
"""A field's value: a text, a size in bytes, or a moment."""


class Adaptor(Protocol):
    """How a filter sees a record; a plain function will do."""

    def __call__(self, path: tuple[str, ...], /) -> Value | None:
        """The value of the field at this path, or None where the record has none."""


class Operator(StrEnum):
    """How a selector compares a field with its value."""

    EQUAL = "=="
    NOT_EQUAL = "!="
    MATCHES = "~="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """One condition of a filter.

    Attributes:
        path: The field: its name, and the names within it.
        operator: How the field is compared; None asks whether it is there.
        value: What it is compared with, as text without its quotation marks.
        column: Where the condition begins in its filter, from 1.
    """

    path: tuple[str, ...]
    operator: Operator | None = None
    value: str = ""
    column: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Filter:
    """Says whether a record is meant: all conditions of at least one alternative hold for it.

    Made by `parse`.

    Attributes:
        alternatives: The conditions, for a store that can answer some of them by an index. An
            alternative without conditions holds for everything.
        tests: For each condition, what is asked of its field's value.
    """

    alternatives: tuple[tuple[Selector, ...], ...]
    tests: tuple[tuple[Callable[[Value | None], bool], ...], ...] = field(repr=False, compare=False)

    def __call__(self, adaptor: Adaptor) -> bool:
        """Whether the record is meant.

        Args:
            adaptor: Gives the values of its fields.

        Raises:
            InvalidFilterError: A size is compared with a time, or with what is neither.
        """
        for selectors, tests in zip(self.alternatives, self.tests, strict=True):
            for selector, test in zip(selectors, tests, strict=True):
                if not test(adaptor(selector.path)):
                    break
            else:
                return True
        return False
