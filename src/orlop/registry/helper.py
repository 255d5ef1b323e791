"""Credential helpers: programs that keep credentials in a keychain or get them from a cloud.

The program `docker-credential-NAME get` reads the registry's name and writes
`{"ServerURL": …, "Username": …, "Secret": …}`; the user name `<token>` says that the secret is an
identity token.

Spec: docker-credential-helpers, "Development".
"""

from __future__ import annotations

import os
import re
import signal
import threading
from typing import TYPE_CHECKING, Final

from orlop.errors import AuthError, InvalidDocumentError, LimitExceededError
from orlop.registry.credential import Credential
from orlop.registry.text import shown
from orlop.spec.json import decode_json

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping

MAX_HELPER_OUTPUT: Final = 64 << 10
"""Bytes that a helper may write."""
HELPER_TIMEOUT: Final = 60.0
"""Seconds that a helper may take; it may have to ask its user."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_IDENTITY: Final = "<token>"
_NOTHING_FOUND: Final = ("credentials not found", "no credentials", "missing credentials")


def ask_helper(
    name: str,
    registry: str,
    environ: Mapping[str, str],
    timeout: float = HELPER_TIMEOUT,
) -> Credential | None:
    """What a helper knows about a registry, None when it knows nothing.

    Args:
        name: The helper's name, without `docker-credential-`.
        registry: The registry's name, as the helper knows it.
        environ: The helper's environment; its `PATH` is where the program is looked for.
        timeout: Seconds to wait.

    Raises:
        AuthError: There is no such program, it fails, or its answer cannot be understood.
    """
    program = _find(name, environ)
    status, output = _run([program, "get"], registry.encode(), environ, timeout)
    if status != 0:
        said = output.decode("utf-8", "replace").strip()
        if any(words in said.lower() for words in _NOTHING_FOUND):
            return None
        raise AuthError(f"{program} failed with status {status}: {shown(said)}")
    return _decode(program, output)


def _find(name: str, environ: Mapping[str, str]) -> str:
    """The program's path; directories that are not absolute are left out."""
    if _NAME.fullmatch(name) is None:
        raise AuthError(f"{shown(name)} is no name of a credential helper")
    for directory in environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(directory, f"docker-credential-{name}")
        if os.path.isabs(directory) and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise AuthError(
        f"the credential helper docker-credential-{name} is not on the PATH",
        hint="install it, or remove it from the file of credentials",
    )


def _run(
    command: list[str], text: bytes, environ: Mapping[str, str], timeout: float
) -> tuple[int, bytes]:
    """Status and output of a program, which is ended with all its children when it is too much."""
    import subprocess

    process = subprocess.Popen(  # noqa: S603  the program is one of a user's own configuration
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    )
    late = threading.Event()

    def end() -> None:
        if process.returncode is None:
            late.set()
            _kill(process)

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        output = _converse(process, text)
        if len(output) > MAX_HELPER_OUTPUT:
            raise AuthError(f"{command[0]} writes more than {MAX_HELPER_OUTPUT} bytes")
        status = process.wait()
    finally:
        timer.cancel()
        _kill(process)
        process.wait()
    if late.is_set():
        raise AuthError(f"{command[0]} took longer than {timeout:g} seconds")
    return status, output


def _converse(process: subprocess.Popen[bytes], text: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            process.stdin.write(text)
            process.stdin.close()
        except BrokenPipeError:
            pass
        return process.stdout.read(MAX_HELPER_OUTPUT + 1)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children, unless it was waited for and its number is free again."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _decode(program: str, output: bytes) -> Credential | None:
    try:
        answer = decode_json(output, what="answer")
    except (InvalidDocumentError, LimitExceededError):
        answer = {}
    username, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str):
        raise AuthError(f"the answer of {program} cannot be understood")
    if username == _IDENTITY:
        return Credential(identity_token=secret)
    return Credential(username=username, password=secret) if username else None
