"""Command lines as cyclopts reads them: all of them, with pages of help and errors of usage.

Each command and each noun is put together when it is first used: a command line names one of them
at most, and the others would cost it milliseconds. cyclopts finds them in this module under names
such as `copy.save`, which is `save` in `orlop.cli.copy`, and `layer name`, which is the app of that
noun.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from inspect import getdoc
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin, get_type_hints

import cyclopts
from cyclopts import App, CycloptsError, Group, UnusedCliTokensError

from orlop import __version__
from orlop.cli.commands import COMMANDS, Command, Noun
from orlop.cli.failure import USAGE
from orlop.cli.parameter import Parameter
from orlop.cli.quick import end_options, load
from orlop.cli.render import clean
from orlop.cli.settings import DriverName, Settings, current, refuse_empty

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(words: list[str]) -> object:
    """Run the command that a command line means, and give what it returns.

    Wrong usage is told, and gives its exit code.
    """
    words = end_options(words)
    try:
        _explain_commands(words)
        return app.meta(words, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _report_usage(error)


def _register(parent: App, entry: Command | Noun, *above: str, group: Group | None = None) -> None:
    """Let an app know a command or a noun, without loading or making it."""
    if isinstance(entry, Command):
        place = entry.place.replace(":", ".")
    else:
        place = " ".join((*above, entry.name))
    parent.command(f"{__name__}:{place}", name=entry.name, group=group, help=entry.help)


def __getattr__(name: str) -> Callable[..., object] | App:
    """What `_register` names: the function of a command, or the app of a noun."""
    if not name.startswith("_"):
        for *above, entry in _walk():
            if isinstance(entry, Command):
                if entry.place.replace(":", ".") == name:
                    return _told(load(entry))
            elif " ".join((*(noun.name for noun in above), entry.name)) == name:
                app = App(name=entry.name, help=entry.help, help_format="plaintext")
                for verb in entry.verbs:
                    _register(app, verb, name)
                return app
    raise AttributeError(name)


def _walk() -> Iterator[tuple[Any, ...]]:
    """Every command and noun, behind the nouns that lead to it."""
    stack: list[tuple[Any, ...]] = [(entry,) for group in COMMANDS.values() for entry in group]
    while stack:
        path = stack.pop()
        yield path
        if isinstance(path[-1], Noun):
            stack += [(*path, verb) for verb in path[-1].verbs]


def _told(function: Callable[..., object]) -> Callable[..., object]:
    """The function, once cyclopts can read what its annotations say."""
    _tell(getattr(function, "__func__", function))
    return function


def _tell(described: Any) -> None:
    hints = get_type_hints(described, include_extras=True)
    described.__annotations__ = {name: _for_cyclopts(hint) for name, hint in hints.items()}


def _for_cyclopts(hint: Any) -> Any:
    """The same type, with what is said beside it in cyclopts' own form, too."""
    if is_dataclass(hint):  # options that several commands have
        _tell(hint)
        return Annotated[hint, cyclopts.Parameter(name="*")]
    if get_origin(hint) is not Annotated:
        return hint
    said = get_args(hint)[1:]
    more = Parameter.of(said)
    if more is None or any(isinstance(each, cyclopts.Parameter) for each in said):
        return hint
    options = {name: value for name, value in more._asdict().items() if value is not None}
    del options["takes_rest"]
    return Annotated[hint, cyclopts.Parameter(**options)]


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
        _register(app, _entry, group=_group)


@app.meta.default
def _common(
    *tokens: Annotated[str, cyclopts.Parameter(show=False, allow_leading_hyphen=True)],
    root: Annotated[
        str | None, cyclopts.Parameter(help="The store [env: ORLOP_ROOT].", validator=refuse_empty)
    ] = None,
    run: Annotated[
        str | None,
        cyclopts.Parameter(help="Its mount points [env: ORLOP_RUN].", validator=refuse_empty),
    ] = None,
    storage_driver: Annotated[
        DriverName | None,
        cyclopts.Parameter(help="What mounts layers and containers [env: ORLOP_DRIVER]."),
    ] = None,
    additional_store: Annotated[
        tuple[str, ...],
        cyclopts.Parameter(
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


def _explain_commands(words: Iterable[str]) -> None:
    """Let the page of a command say all of its description, where the list has one line of it."""
    words = [*takewhile(lambda word: word != "--", words)]
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
