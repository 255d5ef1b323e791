r"""Regular expressions of filters: the syntax of RE2, for Python's `re`.

Where the two read a text differently, RE2 decides: `$` is the end of the text and not the line feed
before it, `\z` is that too, `\Q…\E` is literal, `[[:alpha:]]` is a class, and `\d`, `\s` and
`\w` are of ASCII. What Python alone knows works; what RE2 alone knows is refused.

RE2 needs a time that grows with the text; Python's may need far longer for patterns such as
`(a+)+$`. Patterns are to come from whoever waits for the answer.
"""

from __future__ import annotations

import re
from typing import Final

_CLASSES: Final = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f", "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~",
    "punct": r"!-/:-@\[-`{-\~", "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_TOKEN: Final = re.compile(
    r"\\Q(?P<literal>.*?)(?:\\E|\Z)|\\z(?P<end>)|\\.|\$(?P<dollar>)"
    r"|(?P<set>\[\^?\]?(?:\[:\^?[a-z]*:\]|\\.|[^\]\\])*\])|\[(?P<open>)",
    re.DOTALL,
)
_MEMBER: Final = re.compile(r"\[:(?P<name>\^?[a-z]*):\]|\\.|[\[&|~]|--", re.DOTALL)
_MULTILINE: Final = re.compile(r"\(\?[a-zA-Z]*m")
_LITERAL: Final = re.compile(r"[\w/:@-]|\\[^\w\s]")


def compile_pattern(text: str) -> re.Pattern[str]:
    """The pattern that is searched for, anywhere in a value.

    Raises:
        ValueError: The text is no regular expression.
    """
    dollar = "$" if _MULTILINE.search(text) else r"\Z"
    try:
        return re.compile(_TOKEN.sub(lambda found: _translate(found, dollar), text), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the regular expression does not compile: {error}") from error


def literal_prefix(pattern: str) -> str:
    """What each text begins with in which the pattern is found; empty where that is not plain."""
    if not pattern.startswith("^") or "|" in pattern or "(?" in pattern:
        return ""
    units, end = [], 1
    while found := _LITERAL.match(pattern, end):
        units.append(found[0][-1])
        end = found.end()
    if pattern[end : end + 1] in ("?", "*", "{"):
        del units[-1:]
    return "".join(units)


def _translate(found: re.Match[str], dollar: str) -> str:
    if found["literal"] is not None:
        return re.escape(found["literal"])
    if found["end"] is not None:
        return r"\Z"
    if found["open"] is not None:
        raise ValueError("the regular expression has a [ without its ]")
    if found["dollar"] is not None:
        return dollar
    return found[0] if found["set"] is None else f"[{_MEMBER.sub(_translate_member, found[0][1:])}"


def _translate_member(found: re.Match[str]) -> str:
    if found["name"] is None:
        return found[0] if found[0].startswith("\\") else found[0][:-1] + f"\\{found[0][-1]}"
    if found["name"] not in _CLASSES:
        raise ValueError(f"the regular expression has an unknown class [:{found['name']}:]")
    return _CLASSES[found["name"]]
