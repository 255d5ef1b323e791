"""Reading filters.

    filter    ::= [selector ("," selector)*]        all of them hold; an empty filter always holds
    selector  ::= path [operator value]             a path alone: the field is there
    path      ::= field ("." field)*
    field     ::= [A-Za-z0-9_]+ | quoted with "
    operator  ::= "==" | "!=" | "~=" | "<" | "<=" | ">" | ">="
    value     ::= characters but white space and "," | quoted with "; after ~= also with / or |

Every filter of containerd is one, with the same meaning; sizes and times are compared besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn, final

from orlop.errors import LimitExceededError
from orlop.filters.compare import make_test
from orlop.filters.failure import invalid
from orlop.filters.filter import Filter, Operator, Selector
from orlop.filters.scan import Kind, Scanner, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.filters.filter import Value

    Test = Callable[[Value | None], bool]

MAX_FILTERS: Final = 256
MAX_FILTER_LENGTH: Final = 16384
MAX_SELECTORS: Final = 256

_OPERATORS: Final = ", ".join(Operator)


def parse(*filters: str, now_ns: int | None = None) -> Filter:
    """The filter that means what any of these means; everything where there is none.

    Args:
        filters: Such as `name==debian:12,labels.tier` or `size>100MiB,createdat<7d`.
        now_ns: What ages such as `7d` count from, in nanoseconds since 1970; they are refused
            where it is None.

    Raises:
        InvalidFilterError: One of them is no filter; `where` is its column.
        LimitExceededError: There are too many, or one is too long.
    """
    if len(filters) > MAX_FILTERS:
        message = f"there are {len(filters)} filters"
        raise LimitExceededError(message, limit="MAX_FILTERS", value=MAX_FILTERS)
    parsed = [_Parser(text, now_ns).parse() for text in filters or ("",)]
    return Filter(
        tuple(tuple(selector for selector, _ in pairs) for pairs in parsed),
        tuple(tuple(test for _, test in pairs) for pairs in parsed),
    )


@final
class _Parser:
    def __init__(self, text: str, now_ns: int | None) -> None:
        if len(text) > MAX_FILTER_LENGTH:
            raise LimitExceededError(
                f"filter {text[:50]!r}… has {len(text)} characters",
                limit="MAX_FILTER_LENGTH",
                value=MAX_FILTER_LENGTH,
            )
        self._text = text
        self._now_ns = now_ns
        self._scanner = Scanner(text)

    def parse(self) -> list[tuple[Selector, Test]]:
        found: list[tuple[Selector, Test]] = []
        if not self._text:
            return found
        while True:
            found.append(self._selector())
            token = self._scanner.scan()
            if token.kind is Kind.END:
                return found
            if token.text != ",":
                self._refuse(token, f"unexpected {token.text[:20]!r}")
            if len(found) == MAX_SELECTORS:
                message = f"filter {self._text[:50]!r}… has more selectors"
                raise LimitExceededError(message, limit="MAX_SELECTORS", value=MAX_SELECTORS)

    def _selector(self) -> tuple[Selector, Test]:
        first = self._scanner.peek()
        path = self._path()
        following = self._scanner.peek()
        if following.kind is Kind.END or following.text == ",":
            selector = Selector(path=path, column=first.at + 1)
            return selector, make_test(selector, self._now_ns)
        operator = self._operator()
        value = self._value(operator)
        selector = Selector(path=path, operator=operator, value=value.value, column=first.at + 1)
        try:
            return selector, make_test(selector, self._now_ns)
        except ValueError as error:
            self._refuse(value, str(error))

    def _path(self) -> tuple[str, ...]:
        fields = [self._field()]
        while self._scanner.peek().text == ".":
            self._scanner.scan()
            fields.append(self._field())
        return tuple(fields)

    def _field(self) -> str:
        token = self._scanner.scan()
        if token.kind not in {Kind.FIELD, Kind.QUOTED}:
            self._refuse(token, "expected field or quoted")
        self._require_quote(token)
        return token.value

    def _operator(self) -> Operator:
        token = self._scanner.scan()
        if token.kind is not Kind.OPERATOR:
            self._refuse(token, f"expected an operator ({_OPERATORS})")
        try:
            return Operator(token.text)
        except ValueError:
            hint = "write ==" if token.text == "=" else f"use one of {_OPERATORS}"
            self._refuse(token, f"unsupported operator {token.text[:20]!r}", hint=hint)

    def _value(self, operator: Operator) -> Token:
        token = self._scanner.scan()
        if token.kind not in {Kind.VALUE, Kind.QUOTED}:
            hint = "quote a value that begins with a dot" if token.text == "." else None
            self._refuse(token, "expected value or quoted", hint=hint)
        if operator is not Operator.MATCHES:
            self._require_quote(token)
        return token

    def _require_quote(self, token: Token) -> None:
        if token.kind is Kind.QUOTED and token.text[0] != '"':
            self._refuse(token, "invalid quote encountered", hint='quote with "')

    def _refuse(self, token: Token, problem: str, *, hint: str | None = None) -> NoReturn:
        raise invalid(self._text, token.at, problem, hint=hint)
