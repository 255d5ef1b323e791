"""The table of verbs: whole, and what it leads to is there."""

import pytest

from orlop.storagecmd.run import action_of
from orlop.storagecmd.usage import option_lines, overview, page
from orlop.storagecmd.verbs import ANY, COMMON, VERBS, find


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.names[0])
def test_a_verb_can_be_called_and_explained(verb):
    assert callable(action_of(verb))
    assert verb.at_most == ANY or verb.at_least <= verb.at_most
    text = "\n".join((*page("prog", verb.names[-1], verb), *option_lines(verb.options)))
    assert f"Usage: prog {verb.names[-1]} [options [...]]" in text
    assert verb.help in text
    for option in (*verb.options, *COMMON):
        assert option.names[0] in text


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.names[0])
def test_no_option_stands_for_two_things(verb):
    names = [name for option in (*verb.options, *COMMON) for name in option.names]
    assert len(names) == len(set(names))


def test_a_verb_has_each_of_its_names():
    assert find("create-layer") is find("createlayer")
    assert find("umount") is find("unmount")
    assert find("nothing") is None
    names = [name for verb in VERBS for name in verb.names]
    assert len(names) == len(set(names))


def test_all_verbs_are_listed():
    text = "\n".join(overview("prog"))
    assert all(verb.names[0] in text for verb in VERBS)
