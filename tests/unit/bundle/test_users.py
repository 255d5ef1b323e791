"""Users are looked up in the container's own files, and nowhere else."""

import os

import pytest

from orlop.bundle.finish import finish_spec, start_spec
from orlop.bundle.host import Host
from orlop.bundle.options import args, env, user
from orlop.bundle.users import MAX_USER_FILE_SIZE, find_user
from orlop.errors import InvalidError, LimitExceededError, NotFoundError, UnsafePathError
from orlop.spec.runtime import WantedUser

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
# a comment
short:x:5

bob:x:1000:100:Bob "the" builder:/home/bob:/bin/sh
nohome:x:1001:1001:::
bad:x:one:1::/:
big:x:99999999999:1::/:
1234:x:77:77::/named:
"""
GROUP = """\
root:x:0:
users:x:100:bob
wheel:x:10:root,bob
audio:x:29:bob,alice
broken
"""


class Root:
    def __init__(self, path):
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def find(self, text, **options):
        found = find_user(self.fd, WantedUser(text, **options))
        return found.uid, found.gid, found.groups, found.home


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "root"
    (place / "etc").mkdir(parents=True)
    (place / "etc/passwd").write_text(PASSWD)
    (place / "etc/group").write_text(GROUP)
    root = Root(place)
    yield root
    os.close(root.fd)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", (0, 0, (), "/root")),
        ("root", (0, 0, (10,), "/root")),
        ("bob", (1000, 100, (10, 29), "/home/bob")),
        ("bob:wheel", (1000, 10, (), "/home/bob")),
        ("bob:7", (1000, 7, (), "/home/bob")),
        ("1000", (1000, 100, (), "/home/bob")),
        ("1000:audio", (1000, 29, (), "/home/bob")),
        ("1000:4000", (1000, 4000, (), "/home/bob")),
        ("4242", (4242, 0, (), "/")),
        ("4242:4343", (4242, 4343, (), "/")),
        ("nohome", (1001, 1001, (), "/")),
        ("1234", (1234, 0, (), "/")),
        (":wheel", (0, 10, (), "/root")),
    ],
)
def test_users_and_groups(root, text, found):
    """config.md, "User"; conversion.md: no further groups for numbers, or beside a group."""
    assert root.find(text) == found


def test_a_number_has_the_groups_of_its_name_where_that_is_wanted(root):
    assert root.find("1000", groups_of_uid=True) == (1000, 100, (10, 29), "/home/bob")


@pytest.mark.parametrize("text", ["nobody", "bad", "short", "big", "Bob", "bob ", "broken"])
def test_an_unknown_user_is_named(root, text):
    with pytest.raises(NotFoundError, match=text.strip()):
        root.find(text)


def test_an_unknown_group_is_named(root):
    with pytest.raises(NotFoundError, match="crew"):
        root.find("bob:crew")


@pytest.mark.parametrize(
    "text", ["a:b:c", "bob:", ":", "4294967295", "bob:99999999999", "1" * 5000]
)
def test_what_is_no_user(root, text):
    with pytest.raises(InvalidError):
        root.find(text)


def test_without_lists_numbers_work(tmp_path):
    root = Root(tmp_path)
    assert root.find("") == (0, 0, (), "/")
    assert root.find("5:6") == (5, 6, (), "/")
    with pytest.raises(NotFoundError):
        root.find("root")
    os.close(root.fd)


def test_a_list_that_is_missing_hides_no_other(root):
    (root.path / "etc/group").unlink()
    assert root.find("bob") == (1000, 100, (), "/home/bob")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../../etc/passwd", "passwd"])
def test_a_link_never_leads_to_the_machines_users(root, target):
    passwd = root.path / "etc/passwd"
    passwd.unlink()
    passwd.symlink_to(target)
    with pytest.raises(UnsafePathError):
        root.find("root")


def test_a_link_to_elsewhere_is_one_inside_the_root(root, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("root:x:0:0::/stolen:\nevil:x:666:666::/:\n")
    passwd = root.path / "etc/passwd"
    passwd.unlink()
    passwd.symlink_to(outside)
    with pytest.raises(NotFoundError):
        root.find("evil")
    (root.path / "usr").mkdir()
    passwd.unlink()
    passwd.symlink_to("/usr/passwd")
    (root.path / "usr/passwd").write_text(PASSWD)
    assert root.find("bob")[0] == 1000


def test_a_link_as_the_directory_stays_inside_too(root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("evil:x:666:666::/:\n")
    os.rename(root.path / "etc", root.path / "away")
    (root.path / "etc").symlink_to(outside)
    with pytest.raises(NotFoundError):
        root.find("evil")


def test_a_pipe_is_not_waited_for(root):
    (root.path / "etc/passwd").unlink()
    os.mkfifo(root.path / "etc/passwd")
    with pytest.raises(InvalidError, match="regular"):
        root.find("bob")
    assert root.find("5") == (5, 0, (), "/")
    assert root.find("5:users") == (5, 100, (), "/")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make devices")
def test_a_device_is_not_opened(root):
    (root.path / "etc/passwd").unlink()
    os.mknod(root.path / "etc/passwd", 0o20666, os.makedev(1, 5))
    with pytest.raises(InvalidError, match="regular"):
        root.find("bob")


def test_a_directory_is_no_list(root):
    (root.path / "etc/group").unlink()
    (root.path / "etc/group").mkdir()
    with pytest.raises(InvalidError, match="regular"):
        root.find("bob")


def test_a_list_of_a_gibibyte_is_refused(root):
    with open(root.path / "etc/passwd", "wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(LimitExceededError) as caught:
        root.find("bob")
    assert (caught.value.limit, caught.value.value) == ("MAX_USER_FILE_SIZE", MAX_USER_FILE_SIZE)
    assert root.find("5") == (5, 0, (), "/")


def test_bytes_that_are_no_text_hide_nobody(root):
    (root.path / "etc/passwd").write_bytes(b"\xff\xfe:x:7:7::/:\n" + PASSWD.encode())
    assert root.find("bob")[0] == 1000
    assert root.find(os.fsdecode(b"\xff\xfe"))[0] == 7


def finished(root, *options):
    spec = start_spec([args("x"), *options], Host(0))
    finish_spec(spec, root.fd, Host(0))
    return spec.document["process"]


def test_the_user_and_home_are_set(root):
    process = finished(root, user("bob"))
    assert process["user"] == {"uid": 1000, "gid": 100, "additionalGids": [10, 29]}
    assert "HOME=/home/bob" in process["env"]


def test_a_home_that_is_given_stays(root):
    process = finished(root, user("bob"), env({"HOME": "/else"}))
    assert "HOME=/else" in process["env"]
    assert "HOME=/home/bob" not in process["env"]


def test_the_last_user_counts_and_others_need_not_exist(root):
    assert finished(root, user("nobody-knows"), user("7:8"))["user"] == {"uid": 7, "gid": 8}


def test_who_is_set_directly_is_not_looked_up(root):
    def mine(spec):
        spec.user = None
        spec.section("process", "user").update(uid=3, gid=4)

    assert finished(root, user("nobody-knows"), mine)["user"] == {"uid": 3, "gid": 4}
