"""Command lines that can be read at a glance, as nearly all can.

cyclopts reads every command line, prints the pages and says what is wrong; to load it and to let
it look at a command takes longer than most commands themselves. What is plain enough is read here
instead, from the same functions: words that are no options, options of known names with a value
behind them or behind an `=`, flags, and `--`. Whatever might mean something else, or be wrong, is
left to cyclopts; what is read here means the same there, which a property test holds.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from orlop.cli.commands import COMMANDS, Command, Noun
from orlop.cli.parameter import Parameter

Function: TypeAlias = Callable[..., object]

_COMMON: Final = {"--root": "root", "--run": "run"}
"""Options of all commands; those that are rarely given are left to cyclopts."""
_VALUED: Final = ("--storage-driver", "--additional-store")
_WHOLE: Final = re.compile(r"\d{1,9}", re.ASCII)
_LEFT: Final = frozenset({"--help", "--version", *_VALUED})
_DECIMAL: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


class Call(NamedTuple):
    """What a command line means.

    Attributes:
        common: Options of all commands by their names.
        function: The command.
        arguments: Its words, in order.
        options: Its options, by the names of its parameters.
    """

    common: dict[str, str]
    function: Function
    arguments: list[object]
    options: dict[str, object]


class _UnclearError(Exception):
    """Not plain enough."""


def read(words: Sequence[str]) -> Call | None:
    """What a command line means; None where that is for cyclopts to say."""
    left = list(words)
    try:
        common = _take_common(left)
        function = _take_command(left)
        return Call(common, function, *_Reader(function).read(left))
    except _UnclearError:
        return None


def end_options(words: list[str]) -> list[str]:
    """The same command line, with `--` before words that are a container's command, or such.

    They may look like options, of which none is orlop's then.
    """
    left = list(words)
    try:
        while left and left[0].startswith("-"):
            del left[: 1 if "=" in left[0] else 2]
        reader = _Reader(_take_command(left))
    except _UnclearError:
        return words
    end = reader.end_of_options(left)
    if end is None:
        return words
    rest = left[end:]
    return [*words[: len(words) - len(left) + end], *(["--"] if rest[:1] != ["--"] else []), *rest]


def _take_common(words: list[str]) -> dict[str, str]:
    """The options before the command."""
    common: dict[str, str] = {}
    while words and words[0].startswith("-"):
        name, equals, value = words.pop(0).partition("=")
        if not equals and words:
            value = words.pop(0)
        if name not in _COMMON or _COMMON[name] in common or not value or value.startswith("-"):
            raise _UnclearError
        common[_COMMON[name]] = value
    return common


def _take_command(words: list[str]) -> Function:
    """The function of the command that the words begin with."""
    entries: dict[str, Command | Noun] = {
        entry.name: entry for group in COMMANDS.values() for entry in group
    }
    while words and words[0] in entries:
        entry = entries[words.pop(0)]
        if isinstance(entry, Command):
            return load(entry)
        entries = {verb.name: verb for verb in entry.verbs}
    raise _UnclearError


def load(command: Command) -> Function:
    """The function of a command, whose module is loaded for it."""
    module, _, name = command.place.partition(":")
    function: Function = getattr(import_module(f"orlop.cli.{module}"), name)
    return function


class _Option(NamedTuple):
    name: str
    hint: Any
    more: Parameter

    @property
    def is_flag(self) -> bool:
        return self.hint is bool

    @property
    def is_list(self) -> bool:
        return get_origin(self.hint) is tuple

    def convert(self, text: str) -> object:
        """The value that a word means."""
        value = _convert(get_args(self.hint)[0] if self.is_list else self.hint, text)
        if self.more.validator is not None:
            try:
                self.more.validator(self.hint, value)
            except ValueError:
                raise _UnclearError from None
        return value


class _Reader:
    """Reads the words of one command.

    Args:
        function: The command.
    """

    def __init__(self, function: Function) -> None:
        self._options: dict[str, _Option] = {}
        self._places: list[_Option] = []
        self._required: set[str] = set()
        self._rest: _Option | None = None
        self._flags: dict[str, bool] = dict.fromkeys((*_COMMON, *_VALUED), False)
        hints = get_type_hints(function, include_extras=True)
        for name, parameter in inspect.signature(function).parameters.items():
            option = _Option(name, *_parted(hints[name]))
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = option
                continue
            if parameter.default is parameter.empty:
                self._required.add(name)
            if parameter.kind is not parameter.KEYWORD_ONLY:
                self._places.append(option)
            if parameter.kind is not parameter.POSITIONAL_ONLY:
                self._options.update(dict.fromkeys(_names(option), option))
            if is_dataclass(option.hint):
                for field, hint in get_type_hints(option.hint, include_extras=True).items():
                    below = _Option(field, *_parted(hint))
                    self._flags.update(dict.fromkeys(_names(below), below.is_flag))
        self._flags |= {name: option.is_flag for name, option in self._options.items()}

    def end_of_options(self, words: Sequence[str]) -> int | None:
        """Where in the words those begin that may look like options; None where none do."""
        if not self._takes_rest:
            return None
        at = count = 0
        while at < len(words) and words[at] != "--":
            word = words[at]
            if not word.startswith("-"):
                count += 1
                if count > len(self._places):
                    return at
                if count == len(self._places):
                    return at + 1 if at + 1 < len(words) else None
            name, equals, _ = word.partition("=")
            short = name[:2] if not name.startswith("--") else name
            takes_word = self._flags.get(short) is False and not equals and short == name
            at += 2 if word.startswith("-") and takes_word else 1
        return None

    def read(self, words: Sequence[str]) -> tuple[list[object], dict[str, object]]:
        """Arguments by place, and those by name."""
        given: dict[str, Any] = {}
        plain: list[str] = []
        left = iter(words)
        for word in left:
            if word == "--":
                plain += left
            elif word.startswith("-"):
                for option, value in self._read_option(word, left):
                    if option.is_list:
                        value = (*given.get(option.name, ()), value)
                    elif option.name in given:
                        raise _UnclearError
                    given[option.name] = value
            else:
                plain.append(word)
                if self._takes_rest and len(plain) >= len(self._places):
                    plain += self._rest_of(left)
        return self._place(plain, given), given

    @property
    def _takes_rest(self) -> bool:
        return self._rest is not None and self._rest.more.takes_rest

    def _rest_of(self, left: Iterator[str]) -> list[str]:
        """The words of a command; a `--` before them is none."""
        rest = list(left)
        return rest[1:] if self._places and rest[:1] == ["--"] else rest

    def _read_option(self, word: str, left: Iterator[str]) -> Iterator[tuple[_Option, object]]:
        name, equals, value = word.partition("=")
        if not name.startswith("--") and len(name) > 2:  # several flags in one word
            options = [self._options.get(f"-{letter}") for letter in word[1:]]
            if not all(option is not None and option.is_flag for option in options):
                raise _UnclearError
            yield from ((option, True) for option in options if option is not None)
            return
        option = self._options.get(name)
        if option is None or name in _COMMON or name in _LEFT or (option.is_flag and equals):
            raise _UnclearError
        if option.is_flag:
            yield option, True
            return
        if not equals:
            value = next(left, "")
        if not value or value.startswith("-"):
            raise _UnclearError
        yield option, option.convert(value)

    def _place(self, words: list[str], given: dict[str, Any]) -> list[object]:
        if not all(words) or (len(words) > len(self._places) and self._rest is None):
            raise _UnclearError
        arguments = [
            option.convert(word) for option, word in zip(self._places, words, strict=False)
        ]
        placed = {option.name for option in self._places[: len(arguments)]}
        if placed & given.keys() or self._required - placed - given.keys():
            raise _UnclearError
        if self._rest is not None:
            arguments += map(self._rest.convert, words[len(self._places) :])
        return arguments


def _parted(hint: Any) -> tuple[Any, Parameter]:
    """A type without None, and what is said beside it."""
    more = Parameter()
    if get_origin(hint) is Annotated:
        hint, *said = get_args(hint)
        more = Parameter.of(said) or more
    if get_origin(hint) in {Union, types.UnionType}:
        kinds = [each for each in get_args(hint) if each is not types.NoneType]
        hint = kinds[0] if len(kinds) == 1 else None
    return hint, more


def _names(option: _Option) -> list[str]:
    """What an option is called; nothing where its values are none that are read here."""
    name = option.more.name or "--" + option.name.strip("_").replace("_", "-")
    return [name, option.more.alias] if option.more.alias else [name]


def _convert(kind: Any, text: str) -> object:
    if kind is str:
        return text
    if kind is Path:
        return Path(text)
    if kind is int and _WHOLE.fullmatch(text):
        return int(text)
    if kind is float and _DECIMAL.fullmatch(text):
        return float(text)
    if get_origin(kind) is Literal and text in get_args(kind):
        return text
    raise _UnclearError
