"""Every command of the table is found and explained, and none is loaded before it is called."""

import subprocess
import sys

import pytest

from orlop.cli.full import app
from orlop.cli.main import main
from support.commands import ALL_COMMANDS


@pytest.mark.parametrize("words", [words for words, _ in ALL_COMMANDS], ids=" ".join)
def test_each_command_is_found_and_explained(words, capsys):
    command = app
    for word in words:
        command = command[word]
    function = command.default_command
    assert function.__doc__
    assert main([*words, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"Usage: orlop {' '.join(words)} ")


@pytest.mark.parametrize("noun", ["layer", "container", "image", "layer name", "image data"])
def test_a_noun_alone_lists_its_commands(noun, capsys):
    assert main(noun.split()) == 0
    page = capsys.readouterr().out
    verbs = [words[-1] for words, _ in ALL_COMMANDS if " ".join(words[:-1]) == noun]
    assert verbs
    assert all(f"│ {verb} " in page for verb in verbs)


def test_an_unknown_verb_is_wrong_usage(capsys):
    assert main(["layer", "nonsense"]) == 2
    assert "see `orlop layer --help`" in capsys.readouterr().err
    assert main(["layer", "name", "nonsense"]) == 2


def test_listing_images_loads_no_other_command():
    code = (
        "import sys\nfrom orlop.cli.main import main\nmain(['--root', '/nonexistent', 'images'])\n"
        "print([each for each in sys.modules if each.startswith('orlop.cli.')])\n"
        "print([each for each in sys.modules if each.startswith('orlop.storage.stored')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    *_, commands, stored = done.stdout.splitlines()
    for module in ("layers", "containers", "stored_images", "belongings", "unshare", "copy"):
        assert f"'orlop.cli.{module}'" not in commands
    assert stored == "[]"
