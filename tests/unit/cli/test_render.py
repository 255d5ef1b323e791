"""What is printed for programs may be seen on a terminal, too."""

import json

import pytest

from orlop.cli.render import print_json

HOSTILE = "\x1b[31m\x07\x7f\x9b31m\u202eab\u2028\U000e0001"


@pytest.mark.parametrize("document", [HOSTILE, {HOSTILE: [HOSTILE]}, ["Grüße, 世界 🚢", "a\nb"]])
def test_json_is_the_document_without_control_characters(document, capsys):
    print_json(document)
    shown = capsys.readouterr().out
    assert json.loads(shown) == document
    assert all(line.isprintable() for line in shown.split("\n"))


def test_letters_stay_letters(capsys):
    print_json("Grüße, 世界 🚢")
    assert capsys.readouterr().out == '"Grüße, 世界 🚢"\n'
