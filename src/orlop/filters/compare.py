"""What the operators ask of a field's value.

    presence   the field is there, and not empty
    ==         it is there and equal
    !=         it is not equal: so an absent field passes
    ~=         the pattern is found in its text, which is empty where the field is absent
    < <= > >=  it is there, and the lesser size or earlier moment, and so on

A text that is compared with a size or a time, such as a label's, is read as one; where it is none,
it is neither less nor greater.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final

from orlop.errors import InvalidFilterError
from orlop.filters.filter import Operator, Selector, Value
from orlop.filters.pattern import compile_pattern
from orlop.filters.quantity import Time, read_size, read_time

if TYPE_CHECKING:
    from collections.abc import Callable

    Test = Callable[[Value | None], bool]
    Bound = int | Time

_ORDERS: Final[dict[Operator, Callable[[int, int], bool]]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}
_SIZE: Final = "size such as 10MiB"
_TIME: Final = "time such as 2026-01-31 or an age of 7d"


def make_test(selector: Selector, now_ns: int | None) -> Test:
    """The question that a selector asks of its field's value, which is None where it is absent.

    Args:
        selector: The selector.
        now_ns: What ages count from, in nanoseconds since 1970; None where they mean nothing.

    Raises:
        ValueError: The selector's value is no regular expression, size or time, as it should be.
    """
    match selector.operator:
        case None:
            return _is_present
        case Operator.MATCHES:
            return _matches(selector.value)
        case Operator.EQUAL:
            return _equals(selector, now_ns)
        case Operator.NOT_EQUAL:
            return _differs(selector, now_ns)
        case _:
            return _is_in_order(selector, now_ns)


def _is_present(value: Value | None) -> bool:
    return value is not None and value != ""


def _matches(text: str) -> Test:
    search = compile_pattern(text).search
    return lambda value: search("" if value is None else str(value)) is not None


def _equals(selector: Selector, now_ns: int | None) -> Test:
    text = selector.value

    def test(value: Value | None) -> bool:
        if value is None or isinstance(value, str):
            return bool(value) and value == text
        return value == _read_like(value, selector, now_ns)

    return test


def _differs(selector: Selector, now_ns: int | None) -> Test:
    text = selector.value

    def test(value: Value | None) -> bool:
        if value is None or isinstance(value, str):
            return (value or "") != text
        return value != _read_like(value, selector, now_ns)

    return test


def _is_in_order(selector: Selector, now_ns: int | None) -> Test:
    assert selector.operator is not None
    compare = _ORDERS[selector.operator]
    bound = _read_bound(selector.value, now_ns)
    read = read_size if isinstance(bound, int) else read_time

    def test(value: Value | None) -> bool:
        found = read(value) if isinstance(value, str) else value
        if found is None:
            return False
        if type(found) is not type(bound):
            raise _of_another_kind(found, selector)
        return compare(_number(found), _number(bound))

    return test


def _read_bound(text: str, now_ns: int | None) -> Bound:
    size = read_size(text)
    bound = read_time(text, now_ns) if size is None else size
    if bound is None:
        raise ValueError(f"expected a {_SIZE}, or a {_TIME}")
    return bound


def _number(value: Bound) -> int:
    return value if isinstance(value, int) else value.ns


def _read_like(value: Bound, selector: Selector, now_ns: int | None) -> Bound:
    text = selector.value
    found = read_size(text) if isinstance(value, int) else read_time(text, now_ns)
    if found is None:
        raise _of_another_kind(value, selector)
    return found


def _of_another_kind(value: Bound, selector: Selector) -> InvalidFilterError:
    kind = _SIZE if isinstance(value, int) else _TIME
    name = ".".join(selector.path)
    return InvalidFilterError(
        f"{name} cannot be compared with {selector.value[:100]!r}, which is no {kind}",
        where=f"column {selector.column}",
    )
