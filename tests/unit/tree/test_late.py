import pytest

from orlop.errors import LimitExceededError
from orlop.tree import Link, Node, Put, merge
from orlop.tree.late import MAX_LINK_ROUNDS, MAX_PENDING_LINKS, LateLinks
from orlop.tree.node import S_IFLNK, S_IFREG


def chain(length, prefix=b""):
    """Links of which each points to the one that comes after it."""
    return [Link(b"%d" % number, prefix + b"%d" % (number + 1)) for number in range(length)]


def file(path):
    return Put(path, Node(S_IFREG | 0o644))


@pytest.mark.parametrize("step", [1, -1])
def test_a_chain_costs_no_more_than_its_length(step):
    late, there, tries = LateLinks(), {b"1000"}, []

    def link(entry):
        tries.append(entry)
        if entry.target in there:
            there.add(entry.path)
        return entry.target in there

    for entry in chain(1000)[::step]:
        late.add(entry)
    assert late.make(link) is None
    assert len(there) == 1001
    assert len(tries) <= 2000


def test_names_share_their_inode():
    end = file(b"9")
    root = merge([*chain(9), end])
    assert [root.children[b"%d" % number] for number in range(10)] == [end.node] * 10


def test_one_that_leads_nowhere_is_told():
    late = LateLinks()
    for entry in (Link(b"a", b"there"), Link(b"b", b"gone")):
        late.add(entry)
    assert late.make(lambda entry: entry.target == b"there").path == b"b"


def test_links_that_wait_are_limited():
    late, entry = LateLinks(), Link(b"a", b"b")
    for _ in range(MAX_PENDING_LINKS):
        late.add(entry)
    with pytest.raises(LimitExceededError) as caught:
        late.add(entry)
    assert caught.value.limit == "MAX_PENDING_LINKS"


def test_a_chain_through_symbolic_links_is_limited():
    around = Put(b"s", Node(S_IFLNK | 0o777, target=b"."))
    merge([around, *chain(MAX_LINK_ROUNDS, b"s/"), file(b"%d" % MAX_LINK_ROUNDS)])
    with pytest.raises(LimitExceededError) as caught:
        merge([around, *chain(MAX_LINK_ROUNDS + 1, b"s/"), file(b"%d" % (MAX_LINK_ROUNDS + 1))])
    assert caught.value.limit == "MAX_LINK_ROUNDS"
