"""Options as `containers-storage` takes them: before the arguments, with one dash or two.

`-n NAME`, `-n=NAME`, `--name NAME` and `--name=NAME` are one thing; `-tj` is `-t -j`; a value after
`=` loses one pair of quotes. Options end at the first argument or at `--`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_HELP: Final = frozenset({"-help", "help", "h"})


class Kind(Enum):
    """What an option takes."""

    FLAG = "flag"
    TEXT = "text"
    LIST = "list"


class Option(NamedTuple):
    """One option.

    Attributes:
        names: As they are written, the long one with two dashes.
        help: What it is for.
        kind: What it takes.
    """

    names: tuple[str, ...]
    help: str
    kind: Kind = Kind.TEXT

    @property
    def key(self) -> str:
        """What its value is found by: its long name without dashes."""
        return self.names[0].lstrip("-")


class UsageError(Exception):
    """Arguments that cannot be understood; `lines` says why."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*lines)
        self.lines = lines


class HelpWanted(Exception):  # noqa: N818 - a wish, no error
    """Somebody asks what there is."""


class Call(NamedTuple):
    """What stands on a command line.

    Attributes:
        values: Of the options that were given.
        arguments: What is no option.
    """

    values: Mapping[str, bool | str | tuple[str, ...]]
    arguments: tuple[str, ...]

    def flag(self, key: str) -> bool:
        """Whether a flag is set."""
        return self.values.get(key, False) is True

    def text(self, key: str) -> str:
        """The last value of an option; empty where it was not given."""
        value = self.values.get(key, "")
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> tuple[str, ...]:
        """All values of an option that may be given several times."""
        value = self.values.get(key, ())
        return value if isinstance(value, tuple) else ()


def parse(
    options: Iterable[Option],
    words: Sequence[str],
    before: Mapping[str, bool | str | tuple[str, ...]] | None = None,
) -> Call:
    """Split a command line into options and what follows them.

    Args:
        options: Those that may be given.
        words: The command line.
        before: Values given earlier, before the verb.

    Raises:
        UsageError: An unknown option, a value that is missing, or none where one is needed.
        HelpWanted: `--help` or `-h` stands among the options, which have none of that name.
    """
    return _Parser(options, words, before or {}).run()


class _Parser:
    def __init__(
        self,
        options: Iterable[Option],
        words: Sequence[str],
        before: Mapping[str, bool | str | tuple[str, ...]],
    ) -> None:
        self.known = {name[1:]: option for option in options for name in option.names}
        self.words = list(words)
        self.values = dict(before)

    def run(self) -> Call:
        while self.words and self.words[0].startswith("-") and self.words[0] != "-":
            word = self.words.pop(0)
            if word == "--":
                break
            self.take(word)
        return Call(values=self.values, arguments=tuple(self.words))

    def take(self, word: str) -> None:
        name, has_value, value = word[1:].partition("=")
        if not name:
            raise UsageError(f"bad flag syntax: {word}")
        option = self.known.get(name)
        if option is not None:
            self.store(name, option, _unquoted(value) if has_value else None)
        elif name in _HELP:
            raise HelpWanted
        elif name.startswith("-") or has_value:
            self.take_long(name, _unquoted(value) if has_value else None)
        else:
            self.take_letters(name)

    def take_long(self, name: str, value: str | None) -> None:
        """`-name=value` where `--name` is meant."""
        option = self.known.get(f"-{name}")
        if option is None:
            raise UsageError(f"flag provided but not defined: -{name}")
        self.store(f"-{name}", option, value)

    def take_letters(self, name: str) -> None:
        """Several short options in one word; else a long one behind a single dash."""
        words, values = list(self.words), dict(self.values)
        try:
            for letter in name:
                if letter not in self.known:
                    raise UsageError(f"flag provided but not defined: -{name}")
                self.store(letter, self.known[letter], None)
        except UsageError as error:
            self.words, self.values = words, values
            if len(name) == 1:
                raise
            if f"-{name}" not in self.known:
                last = f"flag provided but not defined: -{name}"
                raise UsageError(*dict.fromkeys((*error.lines, last))) from None
            self.take_long(name, None)

    def store(self, name: str, option: Option, value: str | None) -> None:
        if option.kind is Kind.FLAG:
            self.values[option.key] = True if value is None else _truth(name, value)
            return
        if value is None:
            if not self.words:
                raise UsageError(f"flag needs an argument: -{name}")
            value = self.words.pop(0)
        if option.kind is Kind.TEXT:
            self.values[option.key] = value
            return
        earlier = self.values.get(option.key, ())
        self.values[option.key] = (*(earlier if isinstance(earlier, tuple) else ()), value)


def _truth(name: str, value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise UsageError(f'invalid boolean value "{value}" for  -{name}: neither true nor false')


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
