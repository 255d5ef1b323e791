"""Broken filters end in an error of orlop, soon."""

import random

from orlop.errors import OrlopError
from orlop.filters import parse

ROUNDS = 3000
SEEDS = [
    "name==brig,labels.sail!=square,note~=/[as]{0,2}/",
    r'labels."a \"b\" \\ \x41\u00e9\U0001F40B\101"==x',
    "size>=1.5GiB,createdat<1h30m,updatedat>2026-01-31T10:00:00.5+01:00",
    "name~=^[[:alpha:]]+[^]a-z]\\Q.*\\E$",
]
INTERESTING = [
    "\0",
    "\udcff",
    '"',
    "/",
    "|",
    "\\",
    "\n",
    "=",
    "<",
    "[",
    "[:",
    "(?",
    "9" * 30,
    "\u0661",
    ",",
]


def mutate(text, source):
    characters = list(text)
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(characters) + 1)
        match source.randrange(3):
            case 0:
                characters[place : place + source.randint(0, 3)] = []
            case 1:
                characters.insert(place, source.choice(INTERESTING))
            case _:
                characters[place:place] = source.choice(SEEDS)[: source.randrange(12)]
    return "".join(characters)


def test_mutated_filters_are_read_or_refused():
    source = random.Random(1)
    outcomes = {True: 0, False: 0}
    for _ in range(ROUNDS):
        text = mutate(source.choice(SEEDS), source)
        try:
            found = parse(text, now_ns=source.randrange(2**63))
            found(lambda path: "some text")
        except OrlopError:
            outcomes[False] += 1
        else:
            outcomes[True] += 1
    assert min(outcomes.values()) > ROUNDS // 10
