import os
import pwd

import pytest

from orlop._sys import subids
from orlop._sys.subids import available_ids, namespace_ids, subordinate_ids
from orlop.errors import InvalidError, LimitExceededError, NotFoundError
from orlop.idranges import IdSpan

ME = pwd.getpwuid(os.geteuid())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Write the files of subordinate ids."""

    def write(uids, gids=None):
        for name, text in (("SUBUID", uids), ("SUBGID", uids if gids is None else gids)):
            path = tmp_path / name
            path.write_text(text)
            monkeypatch.setattr(subids, name, str(path))

    write("")
    return write


@pytest.mark.parametrize("owner", [ME.pw_name, str(ME.pw_uid)])
@pytest.mark.parametrize("user", [ME.pw_name, str(ME.pw_uid), None])
def test_name_and_number_mean_the_same_user(files, owner, user):
    files(f"{owner}:100000:10\n", f"{owner}:200000:20\n")
    found = subordinate_ids(user)
    assert found.uids == (IdSpan(first=100_000, size=10),)
    assert found.gids == (IdSpan(first=200_000, size=20),)


def test_a_user_need_not_exist(files):
    files("no-such-user:5:6\n99999999999:1:1\n")
    assert subordinate_ids("no-such-user").uids == (IdSpan(first=5, size=6),)
    assert subordinate_ids("99999999999").owner == "99999999999"


def test_only_root_gives_away_the_ids_of_containers(files):
    files(f"containers:5:6\n{ME.pw_name}:100:6\n")
    assert subordinate_ids().uids[0].first == (5 if os.geteuid() == 0 else 100)


def test_ids_of_one_kind_are_none(files):
    files(f"{ME.pw_name}:1:2\n", "")
    with pytest.raises(NotFoundError, match=f"{ME.pw_name} has no subordinate ids"):
        subordinate_ids(ME.pw_name)


def test_what_to_do_is_said(files):
    with pytest.raises(NotFoundError) as caught:
        subordinate_ids()
    wanted = "containers:2147483647:2147483648" if os.geteuid() == 0 else f"usermod {ME.pw_name}"
    assert all(word in caught.value.hint for word in wanted.split())
    with pytest.raises(NotFoundError, match="nobody has no") as caught:
        subordinate_ids("nobody")
    assert "usermod" in caught.value.hint


def test_missing_files_give_nothing(files, tmp_path, monkeypatch):
    monkeypatch.setattr(subids, "SUBUID", str(tmp_path / "none"))
    with pytest.raises(NotFoundError):
        subordinate_ids()


def test_bad_lines_and_sizes(files):
    files(f"{ME.pw_name}:x\n")
    with pytest.raises(InvalidError, match="SUBUID:1: is no line"):
        subordinate_ids(ME.pw_name)
    files("#" * (subids.MAX_SUBORDINATE_SIZE + 1))
    with pytest.raises(LimitExceededError, match="MAX_SUBORDINATE_SIZE"):
        subordinate_ids()


def test_ids_of_the_namespace_without_its_root(tmp_path):
    (tmp_path / "map").write_text("         0       1000          1\n 1  100000  65536\n")
    assert subids._mapped(str(tmp_path / "map")) == (IdSpan(first=1, size=65_536),)
    assert all(span.first >= 1 for span in namespace_ids().uids + namespace_ids().gids)


def test_a_named_user_is_asked_for_in_any_namespace(files):
    files("containers:5:6\n")
    assert available_ids("containers").uids == (IdSpan(first=5, size=6),)
