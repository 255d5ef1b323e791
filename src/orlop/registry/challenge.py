"""What a registry asks for in `WWW-Authenticate`.

    WWW-Authenticate = #challenge
    challenge        = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
    auth-param       = token BWS "=" BWS ( token / quoted-string )

A comma separates both challenges and parameters: a token that "=" follows is a parameter of the
challenge before it, any other one begins a new challenge.

Spec: RFC 9110, section 11.6.1 and appendix A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_CHALLENGE_LENGTH: Final = 16 << 10
"""Characters of `WWW-Authenticate` headers that are read; what follows is ignored."""

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_TOKEN68: Final = r"[A-Za-z0-9._~+/-]+=*"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_SCHEME: Final = re.compile(rf"({_WORD})(?=[ \t,]|$)")
_PARAMETER: Final = re.compile(rf"({_WORD})[ \t]*=[ \t]*({_QUOTED}|{_WORD})(?=[ \t]*(?:,|$))")
_LONE_TOKEN68: Final = re.compile(rf"{_TOKEN68}(?=[ \t]*(?:,|$))")
_GAP: Final = re.compile(r"[ \t,]*")
_REST: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"?|[^,"])*,?')
_ESCAPE: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way in which a registry lets itself be asked.

    Args:
        scheme: The scheme in lowercase, such as `bearer`.
        parameters: Values by name in lowercase; the first of a repeated name.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def scopes(self) -> frozenset[str]:
        """The single scopes in the `scope` parameter."""
        return frozenset(self.parameters.get("scope", "").split())


def parse_challenges(headers: Sequence[str]) -> tuple[Challenge, ...]:
    """All challenges of the `WWW-Authenticate` headers of one answer, in their order.

    What breaks the grammar is skipped up to the next comma, so that one challenge that cannot
    be read does not hide the others.
    """
    text = ", ".join(headers)[:MAX_CHALLENGE_LENGTH]
    found: list[tuple[str, dict[str, str]]] = []
    position = _skip(_GAP, text, 0)
    while position < len(text):
        position = _skip(_GAP, text, _step(text, position, found))
    return tuple(Challenge(scheme=scheme, parameters=values) for scheme, values in found)


def _step(text: str, position: int, found: list[tuple[str, dict[str, str]]]) -> int:
    """Read one parameter or scheme at `position`; return where it ends."""
    if found and (match := _PARAMETER.match(text, position)):
        found[-1][1].setdefault(match[1].lower(), _unquote(match[2]))
        return match.end()
    if match := _SCHEME.match(text, position):
        found.append((match[1].lower(), {}))
        return _after_scheme(text, match.end())
    return max(_skip(_REST, text, position), position + 1)


def _after_scheme(text: str, position: int) -> int:
    """Skip the single token68 that some schemes have in place of parameters."""
    start = position + len(text[position:]) - len(text[position:].lstrip(" \t"))
    if start == position or _PARAMETER.match(text, start):
        return position
    match = _LONE_TOKEN68.match(text, start)
    return match.end() if match else position


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _unquote(value: str) -> str:
    return _ESCAPE.sub(r"\1", value[1:-1]) if value.startswith('"') else value
