"""Histories that tell of exactly as many layers as there are."""

import pytest

from orlop.editing.history import Step, above, emptied
from orlop.spec import History
from orlop.spec.history import UNTOLD, complete


def history(kinds):
    """One step for each letter: `l` made a layer, `e` none."""
    return tuple(
        History(created_by=f"{at}", empty_layer=kind == "e") for at, kind in enumerate(kinds)
    )


def kinds(steps):
    return "".join("e" if step.empty_layer else "l" for step in steps)


@pytest.mark.parametrize(
    ("told", "layers", "expected"),
    [
        ("", 0, ""), ("", 2, "ll"), ("lel", 2, "lel"), ("ee", 2, "llee"), ("l", 3, "lll"),
        ("lll", 1, "lee"), ("ell", 0, "eee"),
    ],
)  # fmt: skip
def test_each_layer_gets_an_entry(told, layers, expected):
    found = complete(history(told), layers)
    assert kinds(found) == expected
    untold = [step for step in found if step.comment == UNTOLD]
    assert len(untold) == len(found) - len(told)
    assert [step.created_by for step in found if step.comment != UNTOLD] == [
        step.created_by for step in history(told)
    ]


def test_merged_layers_leave_their_steps():
    assert kinds(emptied(history("lelle"), 1)) == "leeee"
    assert kinds(emptied(history("lelle"), 0)) == "eeeee"
    assert kinds(emptied(history("lelle"), 3)) == "lelle"


def test_what_an_image_tells_beyond_its_base():
    whole = history("lelel")
    assert above(whole, whole[:2], 1) == whole[2:]
    assert above(whole, (), 1) == whole[1:]
    assert above(whole, history("ll")[1:], 2) == whole[3:]
    assert above(whole, (), 0) == whole


def test_a_step():
    entry = Step(created_by="x", comment="c", author="a").entry("2024-01-01T00:00:00Z")
    assert entry == History(created="2024-01-01T00:00:00Z", created_by="x", comment="c", author="a")
    assert Step(created_by="x", created="1999-01-01T00:00:00Z").entry("now").created[:4] == "1999"
