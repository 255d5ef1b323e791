import errno
import os
import subprocess
import threading

import pytest

from orlop._sys.mountinfo import mount_at, mount_identity
from orlop.drivers import is_mounted, mount_bind, unmount
from orlop.drivers.holders import holders_of
from orlop.errors import InUseError, NotFoundError


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    (path / "file").write_text("content")
    return path


@pytest.fixture
def mount(source, target):
    handle = mount_bind(source, target)
    yield handle
    if is_mounted(target, mount_id=handle.mount_id):
        unmount(target, mount_id=handle.mount_id, lazy=True)


def test_a_bind_shows_the_directory_read_only(source, target, mount):
    assert (target / "file").read_text() == "content"
    with pytest.raises(OSError) as caught:
        (target / "file").write_text("")
    assert caught.value.errno == errno.EROFS
    (source / "file").write_text("new")
    assert (target / "file").read_text() == "new"


def test_a_bind_leaves_out_what_is_mounted_below(source, target, tmp_path):
    inner = source / "inner"
    inner.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    below = mount_bind(tmp_path / "other", inner)
    with mount_bind(source) as handle:
        assert os.listdir(handle.path / "inner") == []
    unmount(inner, mount_id=below.mount_id)


def test_a_bind_of_an_open_directory(source):
    class Open:
        def __init__(self):
            self.number = os.open(source, os.O_PATH)

        def fileno(self):
            return self.number

    opened = Open()
    with mount_bind(opened) as first, mount_bind(first) as second:
        os.close(opened.number)
        assert (second.path / "file").read_text() == "content"


@pytest.mark.parametrize("source", ["/none", "/proc/version"])
def test_a_bind_of_what_is_no_directory(source, target):
    with pytest.raises(OSError) as caught:
        mount_bind(source, target)
    assert caught.value.filename == source


def test_the_id_is_that_of_the_mount_before_and_after(source, target):
    handle = mount_bind(source)
    assert mount_identity(handle).mount_id == handle.mount_id
    handle.attach(target)
    assert mount_identity(target).mount_id == handle.mount_id
    assert mount_at(target).mount_point == os.fsencode(target)
    unmount(target, mount_id=handle.mount_id)
    assert mount_at(target) is None


def test_a_failed_attach_keeps_it_detached(source, target):
    with mount_bind(source) as handle:
        with pytest.raises(FileNotFoundError):
            handle.attach(target / "none")
        assert handle.target is None
        assert os.listdir(handle.path) == ["file"]


def test_closing_an_attached_mount_changes_nothing(target, mount):
    mount.close()
    with pytest.raises(ValueError, match="closed"):
        mount.fileno()
    assert mount.path == target
    assert (target / "file").exists()


def test_nothing_else_is_unmounted(source, target, mount):
    with pytest.raises(NotFoundError, match=str(mount.mount_id + 1)):
        unmount(target, mount_id=mount.mount_id + 1)
    with pytest.raises(NotFoundError):
        unmount(source, mount_id=mount.mount_id)
    with pytest.raises(NotFoundError):
        unmount(target / "file", mount_id=mount.mount_id)
    with pytest.raises(NotFoundError):
        unmount(target / "none", mount_id=mount.mount_id)
    assert is_mounted(target, mount_id=mount.mount_id)


def test_a_mount_on_top_is_not_taken_for_ours(source, target, mount, tmp_path):
    top = mount_bind(source, target)
    with pytest.raises(NotFoundError):
        unmount(target, mount_id=mount.mount_id)
    unmount(target, mount_id=top.mount_id)
    unmount(target, mount_id=mount.mount_id)
    with pytest.raises(NotFoundError):
        unmount(target, mount_id=mount.mount_id)


def test_a_link_to_the_target_is_not_followed(target, mount, tmp_path):
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(NotFoundError):
        unmount(tmp_path / "link", mount_id=mount.mount_id)
    assert is_mounted(target, mount_id=mount.mount_id)


def test_who_uses_it_is_named_and_lazy_unmounts_all_the_same(target, mount):
    child = subprocess.Popen(
        ["cat", "-"], cwd=target, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    child.stdin.write(b"x")
    assert child.stdout.read(1) == b"x"
    try:
        with pytest.raises(InUseError, match=rf"process {child.pid} \(cat -\)") as caught:
            unmount(target, mount_id=mount.mount_id)
        assert caught.value.hint
        unmount(target, mount_id=mount.mount_id, lazy=True)
    finally:
        child.communicate()
    assert os.listdir(target) == []


def test_an_open_file_keeps_it_busy(target, mount):
    with open(target / "file"), pytest.raises(InUseError, match=f"process {os.getpid()} "):
        unmount(target, mount_id=mount.mount_id)


def test_what_uses_it_for_an_instant_is_waited_for(target, mount):
    """Such as a process that another thread is just starting, which has all files of this one."""
    file = open(target / "file")  # noqa: SIM115 - closed later
    later = threading.Timer(0.1, file.close)
    later.start()
    unmount(target, mount_id=mount.mount_id)
    later.join()
    assert os.listdir(target) == []


def test_a_mount_below_keeps_it_busy(source, target, tmp_path):
    (source / "inner").mkdir()
    outer = mount_bind(source, target)
    inner = mount_bind(source, target / "inner")
    with pytest.raises(InUseError, match=f"the mount at {target}/inner"):
        unmount(target, mount_id=outer.mount_id)
    unmount(target / "inner", mount_id=inner.mount_id)
    unmount(target, mount_id=outer.mount_id)


def test_nobody_holds_what_is_not_used(target, mount):
    assert holders_of(target) == []


def test_names_that_mountinfo_escapes(source, tmp_path):
    for name in ("a b", "tab\there", "new\nline", "back\\slash", "#x", "\\040", "ü", "\udcff"):
        target = tmp_path / name
        target.mkdir()
        handle = mount_bind(source, target)
        assert mount_at(target).mount_point == os.fsencode(target)
        unmount(target, mount_id=handle.mount_id)


def test_many_threads_mount_and_unmount(source, tmp_path):
    errors = []

    def work(number):
        target = tmp_path / f"target{number}"
        target.mkdir()
        try:
            for _ in range(20):
                handle = mount_bind(source, target)
                unmount(target, mount_id=handle.mount_id)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
