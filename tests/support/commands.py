"""Every command of the command line."""

from orlop.cli.commands import COMMANDS, Command


def walk(entries, *above):
    """The words that lead to each command below these, and the command."""
    for entry in entries:
        if isinstance(entry, Command):
            yield (*above, entry.name), entry
        else:
            yield from walk(entry.verbs, *above, entry.name)


ALL_COMMANDS = [found for entries in COMMANDS.values() for found in walk(entries)]
