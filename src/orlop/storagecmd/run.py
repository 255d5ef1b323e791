"""From the words of the command line to an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from orlop.errors import OrlopError
from orlop.storagecmd.options import HelpWanted, UsageError, parse
from orlop.storagecmd.session import Session, Streams, encoded, error_text
from orlop.storagecmd.settings import settings_of
from orlop.storagecmd.verbs import ANY, COMMON, find

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orlop.storagecmd.options import Call
    from orlop.storagecmd.settings import Settings
    from orlop.storagecmd.verbs import Verb

DONE: Final = 0
FAILED: Final = 1
BAD_OPTION: Final = 125
"""An option behind the verb that cannot be understood, or the wish for help there."""


def run(program: str, words: Sequence[str], environ: Mapping[str, str], streams: Streams) -> int:
    """Do what a command line says, and return the exit code.

    Args:
        program: What the command is called.
        words: What follows that.
        environ: The environment.
        streams: Where to write to.
    """
    return _Run(program, environ, streams).start(words)


class _Run:
    def __init__(self, program: str, environ: Mapping[str, str], streams: Streams) -> None:
        self.program = program
        self.environ = environ
        self.streams = streams

    def start(self, words: Sequence[str]) -> int:
        try:
            before = parse(COMMON, words)
        except HelpWanted:
            self._overview()
            return DONE if _is_long_help(words) else FAILED
        except UsageError as error:
            self._refuse(error, f"{self.program} --help")
            self._say(f"{error.lines[-1]} while parsing arguments (1)")
            self._overview()
            return FAILED
        if not before.arguments:
            self._overview()
            return FAILED
        name, *rest = before.arguments
        verb = find(name)
        if verb is None:
            self._say(f"{name}: unrecognized command.")
            return FAILED
        return self._dispatch(name, verb, rest, before)

    def _dispatch(self, name: str, verb: Verb, words: Sequence[str], before: Call) -> int:
        try:
            call = parse((*verb.options, *COMMON), words, before.values)
        except HelpWanted:
            self._page(name, verb)
            return BAD_OPTION
        except UsageError as error:
            self._refuse(error, f"{self.program} {name} --help")
            return BAD_OPTION
        count = len(call.arguments)
        if count < verb.at_least:
            self._say(f"{name}: more arguments required.")
        elif verb.at_most != ANY and count > verb.at_most:
            self._say(f"{name}: too many arguments ([{' '.join(call.arguments)}]).")
        else:
            return self._perform(name, verb, call)
        self._page(name, verb)
        return FAILED

    def _perform(self, name: str, verb: Verb, call: Call) -> int:
        try:
            settings = settings_of(call, self.environ)
            session = Session(settings, self.streams, name)
            if call.flag("unshare"):
                from orlop.storagecmd.namespace import enter

                enter()
            self._tell(settings)
            if verb.store:
                session.storage  # noqa: B018 - a store that cannot be opened is told apart
        except (OrlopError, OSError) as error:
            self._say(f"error initializing: {error_text(error)}")
            return FAILED
        try:
            return action_of(verb)(session, call)
        except (OrlopError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            self._complain(error_text(error))
            hint = getattr(error, "hint", None)
            if hint:
                self._complain(f"hint: {hint}")
            return FAILED
        finally:
            session.close()

    def _tell(self, settings: Settings) -> None:
        if not settings.debug:
            return
        for what, value in (
            ("Root", settings.root),
            ("Run Root", settings.run),
            ("Driver Name", settings.driver),
            ("Driver Options", " ".join(settings.options)),
        ):
            self._complain(f"debug: {what}: {value or '(usual)'}")

    def _overview(self) -> None:
        from orlop.storagecmd.usage import option_lines, overview

        for line in overview(self.program):
            self._say(line)
        for line in option_lines():
            self._complain(line)

    def _page(self, name: str, verb: Verb) -> None:
        from orlop.storagecmd.usage import option_lines, page

        for line in page(self.program, name, verb):
            self._say(line)
        for line in option_lines(verb.options):
            self._complain(line)

    def _refuse(self, error: UsageError, where: str) -> None:
        for line in error.lines:
            self._complain(line)
            self._complain(f"See '{where}'.")

    def _say(self, text: str) -> None:
        self.streams.out.write(encoded(text))

    def _complain(self, text: str) -> None:
        self.streams.err.write(encoded(text))


def action_of(verb: Verb) -> Callable[[Session, Call], int]:
    """The function that does what a verb says; its module is loaded now."""
    module, _, function = verb.action.partition(":")
    found: Callable[[Session, Call], int] = getattr(
        import_module(f"orlop.storagecmd.{module}"), function
    )
    return found


def _is_long_help(words: Sequence[str]) -> bool:
    """Whether help was asked for by its whole name, which is no mistake."""
    return "--help" in words


def main() -> int:
    """Run the command line of the process, and return its exit code."""
    streams = Streams(stdin=sys.stdin.buffer, out=sys.stdout.buffer, err=sys.stderr.buffer)
    program = os.path.basename(sys.argv[0])
    try:
        code = run(program, sys.argv[1:], os.environ, streams)
        streams.out.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return 130
    return code
