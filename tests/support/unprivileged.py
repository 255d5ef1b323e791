"""Running this interpreter, with this checkout, as a user with no privilege at all.

Where others may not enter the directories that they lie in (a home of mode 0700), the way there is
opened in a mount namespace of the command's own: what blocks it is covered by an empty directory,
into which only what is needed is bound.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

NOBODY = 65534
CHECKOUT = Path(__file__).parents[2]


def run_as_nobody(arguments, home, *, gain=False, subordinate=None, **options):
    """Run the interpreter with these arguments, as nobody; needs root.

    Args:
        arguments: Those of the interpreter.
        home: The directory that it works in and may write to.
        gain: Let it gain privilege by programs that are set-user-id.
        subordinate: What it finds in /etc/subuid and /etc/subgid; None for the machine's own.
        options: As for `subprocess.run`; text is captured unless they say otherwise.
    """
    os.chown(home, NOBODY, NOBODY)
    needed = [Path(sys.prefix), Path(sys.base_prefix), CHECKOUT]
    script = [
        *_showing(subordinate, Path(home)),
        *_opened(needed, Path(home)),
        _dropping([sys.executable, *map(str, arguments)], gain),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(Path(home) / "run"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(CHECKOUT / "src"),
        **options.pop("env", {}),
    }
    options = {"capture_output": True, "text": True, "cwd": home, **options}
    command = ["unshare", "--mount", "sh", "-ec", "\n".join(script)]
    return subprocess.run(command, env=environment, check=False, **options)


def _opened(needed, home):
    """Shell commands after which nobody may enter all that is needed."""
    blocked = {}
    for path in needed:
        for parent in reversed([path, *path.parents]):
            if not parent.stat().st_mode & 0o001:
                blocked.setdefault(parent, []).append(path)
                break
    for number, (wall, paths) in enumerate(blocked.items()):
        aside = home / f"aside-{number}"
        yield f"mkdir -p {_quoted(aside)} && mount --bind {_quoted(wall)} {_quoted(aside)}"
        yield f"mount -t tmpfs -o mode=755 none {_quoted(wall)}"
        for path in paths:
            inside = aside / path.relative_to(wall)
            yield f"mkdir -p {_quoted(path)} && mount --bind {_quoted(inside)} {_quoted(path)}"


def _showing(subordinate, home):
    """Shell commands that show this text in place of the files of subordinate ids."""
    if subordinate is None:
        return
    file = home / "subordinate"
    file.write_text(subordinate)
    for path in ("/etc/subuid", "/etc/subgid"):
        yield f"mount --bind {_quoted(file)} {path}"


def _dropping(command, gain):
    options = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    options += [] if gain else ["--no-new-privs"]
    return "exec " + shlex.join(["setpriv", *options, "--", *command])


def _quoted(path):
    return shlex.quote(str(path))
