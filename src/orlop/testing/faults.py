"""What can go wrong with one answer of a registry.

A fault is a function from the answer that would be right to the one that is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer.

    Args:
        status: HTTP status.
        headers: Headers beside those for the length.
        body: All bytes of the body.
        length: The `Content-Length` to announce; None announces none and sends in chunks.
        cut_at: Close the connection after so many bytes of the body.
        endless: Go on after the body with zeros for ever.
        stall_at: Send nothing more after so many bytes until the registry is closed.
        raw: Send these bytes in place of an HTTP answer, and close the connection.
        raw_endless: After `raw`, send these bytes again and again.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    cut_at: int | None = None
    endless: bool = False
    stall_at: int | None = None
    raw: bytes | None = None
    raw_endless: bytes = b""

    @classmethod
    def of(cls, status: int, headers: dict[str, str], body: bytes) -> Reply:
        """An answer with the length of its body announced."""
        return cls(status=status, headers=headers, body=body, length=len(body))


Fault: TypeAlias = Callable[[Reply], Reply]


def status(number: int, code: str = "UNKNOWN", message: str = "", **headers: str) -> Fault:
    """An error in the form of the distribution-spec; `_` in the names of headers is `-`.

    Spec: distribution-spec v1.1, "Error Codes".
    """
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["Content-Type"] = "application/json"
    return lambda _: Reply.of(number, named, body)


def close_after(size: int) -> Fault:
    """The connection breaks after `size` bytes of the body."""
    return lambda reply: replace(reply, cut_at=size)


def stall_after(size: int) -> Fault:
    """Nothing more comes after `size` bytes of the body."""
    return lambda reply: replace(reply, stall_at=size)


def chunked(reply: Reply) -> Reply:
    """The body comes in chunks, without its length."""
    return replace(reply, length=None)


def endless(reply: Reply) -> Reply:
    """The body never ends, and its length is not said."""
    return replace(reply, length=None, endless=True)


def other_bytes(reply: Reply) -> Reply:
    """A bit of the body is another one; length and headers are right."""
    body = bytearray(reply.body)
    if body:
        body[len(body) // 2] ^= 1
    return replace(reply, body=bytes(body))


def longer(reply: Reply) -> Reply:
    """The body is longer than the content."""
    body = reply.body + b"more"
    return replace(reply, body=body, length=len(body))


def shorter(reply: Reply) -> Reply:
    """The body lacks the content's last byte, and its length says so."""
    return replace(reply, body=reply.body[:-1], length=max(len(reply.body) - 1, 0))


def header(name: str, value: str | None) -> Fault:
    """A header has another value, or (None) is missing."""

    def change(reply: Reply) -> Reply:
        headers = {key: old for key, old in reply.headers.items() if key.lower() != name.lower()}
        return replace(reply, headers=headers if value is None else headers | {name: value})

    return change


def redirect(location: str, number: int = 307) -> Fault:
    """What was asked for is elsewhere."""
    return lambda _: Reply.of(number, {"Location": location}, b"moved")


def garbage(raw: bytes = b"SSH-2.0-surprise\r\n", endless: bytes = b"") -> Fault:
    """The answer is no HTTP, or ends (where it does not end) in what is none."""
    return lambda _: Reply(raw=raw, raw_endless=endless)


def hang_up(_: Reply) -> Reply:
    """The connection closes without an answer."""
    return Reply(raw=b"")
