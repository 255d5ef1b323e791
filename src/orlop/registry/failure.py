"""What an answer that is no success means.

Spec: distribution-spec v1.1, "Error Codes".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from orlop.errors import (
    AuthError,
    LimitExceededError,
    NotFoundError,
    OrlopError,
    RegistryError,
    TransportError,
)
from orlop.registry.retry import is_retryable, parse_retry_after
from orlop.registry.text import shown

if TYPE_CHECKING:
    from orlop.registry.response import Response

MAX_ERROR_SIZE: Final = 64 << 10
"""Bytes of an error's body that are read."""
_MAX_CODES: Final = 16
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


class RefusedError(Exception):
    """Carries an error to where it is decided whether to ask again.

    Args:
        error: What the caller sees when nobody asks again.
        retry_after: Seconds that the server wants to be left alone, None where it says nothing.
    """

    def __init__(self, error: OrlopError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after


def refusal(
    response: Response, what: str, *, seconds: float, hint: str | None = None
) -> RefusedError:
    """What an answer stands for that is no success; its body is read and closed.

    Args:
        response: The answer.
        what: What was asked for, as the subject of the message.
        seconds: How long reading the body may take.
        hint: What to do when the registry wants other credentials.
    """
    with response:
        codes, words = _explain(response, seconds)
    retry_after = parse_retry_after(response.header("retry-after"))
    return RefusedError(_error(response.status, what, codes, words, hint), retry_after)


def _error(
    status: int, what: str, codes: tuple[str, ...], words: str, hint: str | None
) -> OrlopError:
    tail = f" ({', '.join(codes)})" if codes else ""
    tail += f": {shown(words)}" if words else ""
    if status == _NOT_FOUND:
        return NotFoundError(f"no such {what}{tail}", hint="check the name and the tag")
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return AuthError(
            f"access to {what} is refused with status {status}{tail}",
            status=status,
            codes=codes,
            hint=hint,
        )
    return RegistryError(
        f"{what} cannot be read: status {status}{tail}",
        status=status,
        codes=codes,
        retryable=is_retryable(status),
    )


def _explain(response: Response, seconds: float) -> tuple[tuple[str, ...], str]:
    """The codes and the first message in an error's body, as far as it can be read."""
    try:
        raw = response.read_all(MAX_ERROR_SIZE, "MAX_ERROR_SIZE", seconds=seconds)
    except (LimitExceededError, TransportError):
        return (), ""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return (), raw.decode("utf-8", "replace").strip() if _is_text(response) else ""
    errors = document.get("errors") if isinstance(document, dict) else None
    entries = [
        entry for entry in (errors if isinstance(errors, list) else []) if isinstance(entry, dict)
    ]
    codes = [entry["code"] for entry in entries if isinstance(entry.get("code"), str)]
    words = [entry["message"] for entry in entries if isinstance(entry.get("message"), str)]
    return tuple(_plain(code) for code in codes[:_MAX_CODES]), words[0] if words else ""


def _plain(code: str) -> str:
    return "".join(
        char for char in code[:64] if char.isascii() and (char.isalnum() or char in "_-")
    )


def _is_text(response: Response) -> bool:
    return (response.header("content-type") or "").startswith(("text/plain", "application/json"))
