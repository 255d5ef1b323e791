"""Values as the peer writes them: JSON in one line, quoted texts, moments.

Scripts compare these bytes, so the order of members, the escapes and the digits of a fraction are
those of Go's `encoding/json`, `strconv.Quote` and `time.RFC3339Nano`.
"""

from __future__ import annotations

from typing import Final

_SECOND: Final = 10**9
_JSON_ESCAPES: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"} | dict.fromkeys(
    range(0xD800, 0xE000), "\\ufffd"
)
_SHORT_ESCAPES: Final = {
    '"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f",
    "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip
_SURROGATE_BYTES: Final = range(0xDC80, 0xDD00)
"""What `surrogateescape` makes of the bytes that are no UTF-8."""


def json_line(value: object) -> str:
    """A value as one line of JSON, members in the order that they have."""
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_JSON_ESCAPES)


def quoted(text: str) -> str:
    """A text in double quotes, so that no byte of it can be taken for anything else."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    number = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if number in _SURROGATE_BYTES:
        return f"\\x{number - 0xDC00:02x}"
    if character.isprintable():
        return character
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def moment(time_ns: int) -> str:
    """A moment in UTC, to the nanosecond, without zeros at its end."""
    from time import gmtime, strftime

    seconds, fraction = divmod(time_ns, _SECOND)
    text = strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"
