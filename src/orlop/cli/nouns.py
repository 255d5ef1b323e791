"""The words that have commands of their own: each is put together when it is first used.

A command line names one of them at most: the others would cost it milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from orlop.cli.commands import COMMANDS, Command, Noun

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cyclopts import Group


def register(parent: App, entry: Command | Noun, *above: str, group: Group | None = None) -> None:
    """Let an app know a command or a noun, without loading or making it.

    Args:
        parent: The app.
        entry: What it is to know.
        above: The nouns that lead to the app.
        group: Where the entry is listed.
    """
    place = entry.place if isinstance(entry, Command) else f"nouns:{' '.join((*above, entry.name))}"
    parent.command(f"orlop.cli.{place}", name=entry.name, group=group, help=entry.help)


def __getattr__(name: str) -> App:
    """The app of a noun, by all words that lead to it, such as `layer name`."""
    entries: Iterable[Command | Noun] = (each for group in COMMANDS.values() for each in group)
    noun = None
    for word in name.split():
        nouns = (each for each in entries if isinstance(each, Noun) and each.name == word)
        noun = next(nouns, None)
        entries = noun.verbs if noun else ()
    if noun is None:
        raise AttributeError(name)
    app = App(name=noun.name, help=noun.help, help_format="plaintext")
    for verb in noun.verbs:
        register(app, verb, name)
    return app
