"""The command line: how each command is found, and how it ends."""

from __future__ import annotations

import gc
import os
import signal
import sys
from inspect import getdoc
from io import TextIOWrapper
from typing import Annotated, Final

from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError

from orlop import __version__
from orlop.cli.commands import COMMANDS
from orlop.cli.failure import DONE, USAGE, report
from orlop.cli.nouns import register
from orlop.cli.render import clean
from orlop.cli.settings import DriverName, Settings, current, refuse_empty

app: Final = App(
    name="orlop",
    help="Container storage: fetch, keep, read and mount OCI images, without a daemon.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
app.meta.suppress_keyboard_interrupt = False


for _title, _entries in COMMANDS.items():
    _group = Group.create_ordered(_title)
    for _entry in _entries:
        register(app, _entry, group=_group)


@app.meta.default
def _common(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    root: Annotated[
        str | None, Parameter(help="The store [env: ORLOP_ROOT].", validator=refuse_empty)
    ] = None,
    run: Annotated[
        str | None, Parameter(help="Its mount points [env: ORLOP_RUN].", validator=refuse_empty)
    ] = None,
    storage_driver: Annotated[
        DriverName | None,
        Parameter(help="What mounts layers and containers [env: ORLOP_DRIVER]."),
    ] = None,
    additional_store: Annotated[
        tuple[str, ...],
        Parameter(
            help="A store to look through after it [env: ORLOP_ADDITIONAL_STORES].",
            negative="",
            show_default=False,
            validator=refuse_empty,
        ),
    ] = (),
) -> object:
    """Take the options that all commands share, and run the command."""
    current.set(Settings.of(root, run, storage_driver, additional_store))
    return app(tokens, exit_on_error=False, print_error=False, result_action="return_value")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 failed, 2 wrong usage, 3 not found, 4 verification failed, 5 busy, 130 interrupted.

    Args:
        arguments: Those of the process where None.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    _open_streams()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show
    # A merged tree has a hundred thousand objects and no cycles: looking for some, over and over
    # while it grows, would cost a quarter of the merging.
    gc.set_threshold(100_000, 50, 50)
    words = sys.argv[1:] if arguments is None else arguments
    try:
        _explain_commands(words)
        result = app.meta(
            words,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
    except CycloptsError as error:
        return _report_usage(error)
    except BrokenPipeError:
        _drop_output()  # Whoever read this has seen enough.
        return DONE
    except (Exception, KeyboardInterrupt) as error:
        if _wants_traceback(error):
            raise
        _finish_output()
        return report(error)
    return result if isinstance(result, int) else DONE


def _open_streams() -> None:
    """Have all three streams, so that no file gets the number of one; a closed one is of no use."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if fd != number:
                os.dup2(fd, number)
                os.close(fd)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for good


def _finish_output() -> None:
    """Write what is left, or drop it: the interpreter would fail on it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _explain_commands(words: list[str]) -> None:
    """Let the page of a command say all of its description, where the list has one line of it."""
    if not {"--help", "-h"} & set(words):
        return
    command = app
    for word in words:
        if word in command and not word.startswith("-"):
            command = command[word]
    if command is not app and command.default_command is not None:
        _explain(command)


def _explain(command: App) -> None:
    description, _, _ = (getdoc(command.default_command) or "").partition("\n\nArgs:")
    command.help = "\n\n".join(
        " ".join(paragraph.split()) for paragraph in description.split("\n\n")
    )


def _report_usage(error: CycloptsError) -> int:
    message = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        message = f"nothing is expected where {clean(error.unused_tokens[0])!r} is"
    print(f"error: {message}", file=sys.stderr)
    chain = " ".join(("orlop", *(error.command_chain or ())))
    print(f"hint: see `{chain} --help`", file=sys.stderr)
    return USAGE


def _wants_traceback(error: BaseException) -> bool:
    """Whether an error is one of the program: neither the user's nor the machine's."""
    from orlop.errors import OrlopError

    return not isinstance(error, (OrlopError, OSError, KeyboardInterrupt))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
