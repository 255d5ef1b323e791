import errno
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from orlop._sys.mountinfo import mount_at
from orlop.drivers import mount_erofs, mount_overlay, overlay, unmount
from orlop.drivers.mounts import PRIVILEGE_HINT
from orlop.drivers.overlay import MAX_LOWERS
from orlop.errors import LimitExceededError


@pytest.fixture
def lowers(tmp_path):
    """Two directories; `same` is in both, `0` and `1` in one each."""
    return [layer(tmp_path / f"lower{number}", str(number)) for number in range(2)]


@pytest.fixture
def writable(tmp_path):
    for name in ("upper", "work"):
        (tmp_path / name).mkdir()
    return {"upper": tmp_path / "upper", "work": tmp_path / "work"}


def layer(path, name):
    path.mkdir(parents=True)
    (path / name).write_text(name)
    (path / "same").write_text(name)
    return path


def test_the_first_lower_is_the_topmost(lowers):
    with mount_overlay(lowers) as mount:
        assert sorted(os.listdir(mount.path)) == ["0", "1", "same"]
        assert (mount.path / "same").read_text() == "0"
    with mount_overlay(lowers[::-1]) as mount:
        assert (mount.path / "same").read_text() == "1"


@pytest.mark.parametrize("count", [1, 2])
def test_without_an_upper_it_is_read_only(lowers, target, count):
    mount = mount_overlay(lowers[:count], target)
    try:
        assert mount.target == target
        with pytest.raises(OSError) as caught:
            (target / "new").write_text("")
        assert caught.value.errno == errno.EROFS
        flags = os.statvfs(target).f_flag
        wanted = os.ST_RDONLY | os.ST_NODEV | os.ST_NOSUID
        assert flags & wanted == wanted
    finally:
        unmount(target, mount_id=mount.mount_id)


def test_one_lower_alone_is_a_bind(lowers, target):
    mount = mount_overlay(lowers[:1], target)
    assert mount_at(target).fstype != "overlay"
    unmount(target, mount_id=mount.mount_id)


@pytest.mark.parametrize("count", [1, 2])
def test_writes_go_to_the_upper(lowers, writable, target, count):
    mount = mount_overlay(lowers[:count], target, **writable)
    (target / "new").write_text("new")
    (target / "same").unlink()
    unmount(target, mount_id=mount.mount_id)
    assert (writable["upper"] / "new").read_text() == "new"
    assert os.stat(writable["upper"] / "same").st_rdev == 0
    assert (lowers[0] / "same").read_text() == "0"


@pytest.mark.parametrize(("nodev", "nosuid"), [(True, True), (False, False)])
def test_a_containers_mount_may_have_devices(lowers, writable, nodev, nosuid):
    with mount_overlay(lowers, **writable, nodev=nodev, nosuid=nosuid) as mount:
        flags = os.fstatvfs(mount.fileno()).f_flag
    assert bool(flags & os.ST_NODEV) == nodev
    assert bool(flags & os.ST_NOSUID) == nosuid
    assert not flags & os.ST_RDONLY


def test_hundreds_of_lowers(tmp_path):
    lowers = [layer(tmp_path / f"lower{number}", str(number)) for number in range(300)]
    with mount_overlay(lowers) as mount:
        assert len(os.listdir(mount.path)) == 301


def test_the_number_of_lowers_is_limited(lowers):
    with pytest.raises(LimitExceededError, match="MAX_LOWERS = 500"):
        mount_overlay(lowers[:1] * (MAX_LOWERS + 1))


@pytest.mark.parametrize(
    "name", ["a:b", "a,b", "back\\slash", "sp ace", "x" * 200 + "/" + "y" * 200]
)
def test_names_that_option_strings_would_trip_over(tmp_path, target, name):
    lowers = [layer(tmp_path / f"lower{number}" / name, str(number)) for number in range(2)]
    upper, work = layer(tmp_path / "upper" / name, "upper"), tmp_path / "work" / name
    work.mkdir(parents=True)
    with mount_overlay(lowers) as mount:
        assert sorted(os.listdir(mount.path)) == ["0", "1", "same"]
    mount = mount_overlay(lowers, target, upper=upper, work=work)
    assert sorted(os.listdir(target)) == ["0", "1", "same", "upper"]
    unmount(target, mount_id=mount.mount_id)


def test_a_detached_image_below_an_overlay(image, lowers, writable, target):
    index, device = image
    with mount_erofs(index, [device]) as below:
        mount = mount_overlay([below, lowers[0]], target, **writable)
    # The overlay keeps the image alive.
    assert sorted(os.listdir(target)) == ["0", "data", "same"]
    (target / "data").write_text("changed")
    unmount(target, mount_id=mount.mount_id)
    assert (writable["upper"] / "data").read_text() == "changed"


def test_relative_paths(lowers, writable, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mount_overlay(["lower0"], upper="upper", work="work").close()
    with mount_overlay(["lower0", "lower1"]) as mount:
        assert (mount.path / "same").read_text() == "0"


class TestNamesFromImages:
    """What layers of strangers may bring: the names that overlay itself uses."""

    def test_no_redirect_is_followed(self, lowers):
        (lowers[1] / "hidden").mkdir()
        (lowers[1] / "hidden" / "file").write_text("")
        (lowers[0] / "shown").mkdir()
        os.setxattr(lowers[0] / "shown", "trusted.overlay.redirect", b"/hidden")
        with mount_overlay(lowers) as mount, pytest.raises(PermissionError):
            os.listdir(mount.path / "shown")

    def test_no_metadata_only_copy_shows_another_files_data(self, lowers):
        (lowers[1] / "victim").write_text("secret")
        (lowers[0] / "victim").write_text("")
        os.setxattr(lowers[0] / "victim", "trusted.overlay.metacopy", b"")
        with mount_overlay(lowers) as mount, pytest.raises(PermissionError):
            (mount.path / "victim").read_text()

    def test_an_opaque_mark_hides_what_is_below_so_that_writers_must_escape_it(self, lowers):
        for lower in lowers:
            (lower / "dir").mkdir()
        (lowers[1] / "dir" / "below").write_text("")
        os.setxattr(lowers[0] / "dir", "trusted.overlay.opaque", b"y")
        with mount_overlay(lowers) as mount:
            assert os.listdir(mount.path / "dir") == []
        os.removexattr(lowers[0] / "dir", "trusted.overlay.opaque")
        os.setxattr(lowers[0] / "dir", "trusted.overlay.overlay.opaque", b"y")
        with mount_overlay(lowers) as mount:
            assert os.listdir(mount.path / "dir") == ["below"]
            assert os.getxattr(mount.path / "dir", "trusted.overlay.opaque") == b"y"


def test_it_falls_back_only_where_the_kernel_is_older(lowers, target, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EINVAL, "the kernel knows no lowerdir+")

    monkeypatch.setattr(overlay, "_mount_by_layers", refuse)
    monkeypatch.setattr(overlay, "kernel_version", lambda: (6, 1))
    with mount_overlay(lowers) as mount:
        assert (mount.path / "same").read_text() == "0"
    with pytest.raises(OSError, match="knows no"):
        mount_overlay(lowers, classic=False)
    with pytest.raises(NotADirectoryError):
        mount_overlay([lowers[0], lowers[0] / "same"])
    with pytest.raises(OSError, match="knows no"):  # what the old call says is no better
        mount_overlay(lowers, upper=lowers[0], work="/proc")
    monkeypatch.setattr(overlay, "kernel_version", lambda: (6, 15))
    with pytest.raises(OSError, match="knows no"):
        mount_overlay(lowers)


class TestOneStringForAllLayers:
    """The way of older kernels, which this one still has."""

    def test_read_only(self, lowers, target):
        mount = mount_overlay(lowers, target, classic=True)
        assert sorted(os.listdir(target)) == ["0", "1", "same"]
        assert (target / "same").read_text() == "0"
        wanted = os.ST_RDONLY | os.ST_NODEV | os.ST_NOSUID
        assert os.statvfs(target).f_flag & wanted == wanted
        unmount(target, mount_id=mount.mount_id)

    def test_writable(self, lowers, writable, target):
        mount = mount_overlay(lowers, target, **writable, nodev=False, nosuid=False, classic=True)
        assert not os.statvfs(target).f_flag & (os.ST_RDONLY | os.ST_NODEV | os.ST_NOSUID)
        (target / "new").write_text("new")
        unmount(target, mount_id=mount.mount_id)
        assert (writable["upper"] / "new").read_text() == "new"

    def test_a_detached_image(self, image, lowers, writable, target):
        index, device = image
        with mount_erofs(index, [device]) as below:
            mount = mount_overlay([below, lowers[0]], target, **writable, classic=True)
            assert os.listdir(below.path) == ["data"]
        assert sorted(os.listdir(target)) == ["0", "data", "same"]
        unmount(target, mount_id=mount.mount_id)

    def test_names_need_no_quotes(self, tmp_path, target):
        names = ["a:b", "c\\d", "e,f", "x" * 250]
        lowers = [layer(tmp_path / name, str(number)) for number, name in enumerate(names)]
        upper, work = layer(tmp_path / "u:,\\", "upper"), tmp_path / "w:,\\"
        work.mkdir()
        mount = mount_overlay(lowers, target, upper=upper, work=work, classic=True)
        assert sorted(os.listdir(target)) == ["0", "1", "2", "3", "same", "upper"]
        unmount(target, mount_id=mount.mount_id)

    def test_two_hundred_layers_fit_and_five_hundred_do_not(self, tmp_path):
        lowers = [layer(tmp_path / f"lower{number}", str(number)) for number in range(200)]
        with mount_overlay(lowers, classic=True) as mount:
            assert len(os.listdir(mount.path)) == 201
        with pytest.raises(LimitExceededError, match="MAX_OPTIONS") as caught:
            mount_overlay(lowers[:1] * 500, classic=True)
        assert caught.value.hint

    def test_what_is_shown_for_a_moment_is_gone(self, image, lowers, tmp_path, monkeypatch):
        moments = tmp_path / "moments"
        moments.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(moments))
        index, device = image
        with mount_erofs(index, [device]) as below:
            mount_overlay([below, lowers[0]], classic=True).close()
        with mount_erofs(index, [device]) as below, pytest.raises(FileNotFoundError):
            mount_overlay([below, tmp_path / "none"], classic=True)
        with mount_erofs(index, [device]) as below, pytest.raises(OSError, match="mount"):
            mount_overlay([below, below], classic=True)
        assert os.listdir(moments) == []


@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_lower_is_named(lowers, target, which, tmp_path):
    lowers[which] = tmp_path / "none"
    with pytest.raises(FileNotFoundError) as caught:
        mount_overlay(lowers, target)
    assert caught.value.filename == str(tmp_path / "none")


@pytest.mark.parametrize("key", ["upper", "work"])
def test_a_missing_upper_is_named(lowers, writable, target, key, tmp_path):
    writable[key] = tmp_path / "none"
    with pytest.raises(FileNotFoundError) as caught:
        mount_overlay(lowers, target, **writable)
    assert caught.value.filename == str(tmp_path / "none")


def test_the_kernels_words_are_in_the_message(lowers, target):
    with pytest.raises(OSError, match="not a directory") as caught:
        mount_overlay([lowers[0], lowers[0] / "same"], target)
    assert caught.value.errno == errno.EINVAL


def test_a_target_that_cannot_be(lowers, writable, target):
    for options in ({}, writable):
        with pytest.raises(FileNotFoundError):
            mount_overlay(lowers, target / "none", **options)
        with pytest.raises(NotADirectoryError):
            mount_overlay(lowers, lowers[0] / "same", **options)


@pytest.mark.parametrize("options", [{"upper": "u"}, {"work": "w"}])
def test_half_an_upper_is_the_callers_mistake(lowers, options):
    with pytest.raises(ValueError, match="both or none"):
        mount_overlay(lowers, **options)
    with pytest.raises(ValueError, match="lowers"):
        mount_overlay([])


def test_without_privilege_it_is_unsupported_and_says_what_to_do(lowers, tmp_path):
    code = (
        "import os, sys\n"
        "from orlop.drivers import mount_bind, mount_overlay\n"
        "from orlop.errors import UnsupportedError\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "for mount in (lambda: mount_overlay(['/', '/proc']), lambda: mount_bind('/')):\n"
        "    try:\n"
        "        mount()\n"
        "    except UnsupportedError as error:\n"
        "        print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [PRIVILEGE_HINT] * 2


def test_in_a_user_namespace(lowers, writable, target):
    if shutil.which("unshare") is None:
        pytest.skip("the program unshare is missing")
    code = (
        "import os, sys\n"
        "from orlop.drivers import mount_overlay, unmount\n"
        "first, second, upper, work, target = sys.argv[1:]\n"
        "for options in ({}, {'upper': upper, 'work': work}):\n"
        "    mount = mount_overlay([first, second], target, **options)\n"
        "    print(sorted(os.listdir(target)))\n"
        "    unmount(target, mount_id=mount.mount_id)\n"
    )
    places = [*lowers, writable["upper"], writable["work"], target]
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", code]
    done = subprocess.run([*command, *places], capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        pytest.skip(f"no user namespaces: {done.stderr.strip()}")
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["['0', '1', 'same']"] * 2
