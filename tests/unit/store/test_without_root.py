"""All of the main job without privilege: images become directories, and owners are dropped."""

import json
import os
import stat

import pytest

import orlop
from support.images import ImageBuilder, device, directory, fifo, file, hardlink, symlink
from support.nobody import as_nobody, unprivileged_place
from support.stores import StoreUnderTest


@pytest.fixture(scope="module")
def box():
    """A store of nobody's, with one image."""
    builder = ImageBuilder(config={"config": {"Cmd": ["sh"]}})
    builder.layer(
        directory("etc"),
        file("etc/hostname", b"box\n", uid=12, gid=34),
        file("etc/gone", b"x"),
        device("null", 1, 3),
        fifo("pipe"),
        file("suid", b"#!", mode=0o4755, uid=0),
        file("secret", b"s", mode=0o000),
        directory("closed", mode=0o000),
        file("closed/inside", b"inside"),
        directory("closed/deeper", mode=0o000),
        file("closed/deeper/still", b"still"),
        file("attributes", b"a", pax_headers={"SCHILY.xattr.user.kind": "good"}),
    )
    builder.layer(
        directory("etc"), file("etc/.wh.gone"), symlink("link", "etc/hostname"),
        file("one", b"1"), hardlink("two", "one"),
    )  # fmt: skip
    with unprivileged_place() as place:
        box = StoreUnderTest(place)
        layout = as_nobody(builder.write, place / "layout", "box")
        box.id = as_nobody(box.pull, layout.source, "--tag", "box")
        yield box


def test_the_store_belongs_to_nobody_else(box):
    status = box.root.stat()
    assert stat.S_IMODE(status.st_mode) == 0o700
    assert status.st_uid != 0


def test_listing(box):
    (image,) = as_nobody(box.images)
    assert image["id"] == box.id
    assert image["name"] == "docker.io/library/box:latest"


def test_files_are_read_out_of_the_layers(box):
    done = as_nobody(box.orlop, "cat", "box", "/link", "/closed/deeper/still", "/secret")
    assert done.out == "box\nstills"
    names = as_nobody(box.orlop, "ls", "box").out.split()
    assert names == sorted(
        ["attributes", "closed", "etc", "link", "null", "one", "pipe", "secret", "suid", "two"]
    )


def test_owners_and_devices_are_listed_as_the_image_has_them(box):
    listed = json.loads(as_nobody(box.orlop, "ls", "box", "/", "--format", "json").out)
    found = {entry["name"]: entry for entry in listed}
    assert found["null"]["device"] == [1, 3]
    assert found["suid"]["mode"] == "4755"
    (entry,) = json.loads(
        as_nobody(box.orlop, "ls", "box", "/etc/hostname", "--format", "json").out
    )
    assert (entry["uid"], entry["gid"]) == (12, 34)


def look(box):
    """What nobody sees of the directory that `mount` prints."""
    done = box.orlop("mount", "box")
    assert done.err == ""
    root = done.out.strip()
    return {
        "root": root,
        "names": sorted(os.listdir(root)),
        "hostname": open(f"{root}/etc/hostname").read(),
        "etc": os.listdir(f"{root}/etc"),
        "link": os.readlink(f"{root}/link"),
        "same": os.path.samefile(f"{root}/one", f"{root}/two"),
        "suid": os.stat(f"{root}/suid").st_mode & 0o7777,
        "secret": os.stat(f"{root}/secret").st_mode & 0o7777,
        "owners": {os.lstat(f"{root}/{name}").st_uid for name in os.listdir(root)},
        "me": os.geteuid(),
    }


def test_mount_prints_a_directory(box):
    seen = as_nobody(look, box)
    assert seen["root"].startswith(f"{box.root}/chains/")
    assert seen["hostname"] == "box\n"
    assert seen["etc"] == ["hostname"]
    assert seen["link"] == "etc/hostname"
    assert seen["same"]
    assert as_nobody(look, box) == seen


def test_the_directory_has_no_owners_and_no_devices(box):
    seen = as_nobody(look, box)
    assert seen["owners"] == {seen["me"]}
    assert "null" not in seen["names"]
    assert "pipe" in seen["names"]


def test_a_check_finds_nothing_wrong(box):
    """Beside the directory lies a note of what it lacks."""
    as_nobody(look, box)
    assert list(box.root.glob("chains/*/*/rootfs.lacks"))
    done = as_nobody(box.orlop, "check")
    assert (done.code, done.err) == (0, "")


def test_a_mount_in_a_program_is_that_directory_and_stays(box):
    def hold():
        with orlop.open_store(box.root, box.run) as store:
            mount = store.image("box").mount()
            with mount as rootfs:
                content = (rootfs / "etc/hostname").read_text()
            return mount.mounted, content, rootfs.is_dir()

    assert as_nobody(hold) == (False, "box\n", True)


def test_a_target_needs_root(box):
    target = box.root.parent / "target"
    as_nobody(target.mkdir)
    done = as_nobody(box.orlop, "mount", "box", target)
    done.check_failure(1, "mounting needs root (CAP_SYS_ADMIN)")
    root = as_nobody(look, box)["root"]
    assert done.err.endswith(f"hint: run it as root, or use the directory {root}\n")
    as_nobody(target.rmdir)


@pytest.mark.parametrize("driver", ["erofs", "overlay"])
def test_a_driver_that_mounts_needs_root(box, driver):
    done = as_nobody(box.orlop, "mount", "box", "--driver", driver)
    done.check_failure(1, f"the driver {driver} needs root (CAP_SYS_ADMIN)")


def test_layers_for_an_overlay_need_root(box):
    source = f"oci:{box.root.parent}/layout:box"
    done = as_nobody(box.orlop, "pull", source, "--driver", "overlay")
    done.check_failure(1, "the driver overlay needs root (CAP_SYS_ADMIN)")


def test_nothing_is_mounted_and_nothing_unmounted(box):
    assert as_nobody(box.orlop, "mount").out.split() == ["TARGET", "WHAT", "DRIVER", "HOLDERS"]
    as_nobody(box.orlop, "umount", "box").check_failure(3, "nothing of this store is mounted")


def test_info_says_what_does_not_work(box):
    facts = json.loads(as_nobody(box.orlop, "info", "--format", "json").out)
    assert facts["driver"] == "directory"
    assert facts["machine"]["mount"]["works"] is False
    assert as_nobody(box.orlop, "info").code == 0


@pytest.mark.parametrize("driver", ["directory", "erofs"])
def test_everything_goes_again(driver):
    """Also directories that nobody may enter."""
    builder = ImageBuilder().layer(
        directory("closed", mode=0), directory("closed/below", mode=0), file("closed/below/f", b"x")
    )
    with unprivileged_place() as place:
        box = StoreUnderTest(place)
        layout = as_nobody(builder.write, place / "layout", "closed")
        as_nobody(box.pull, layout.source, "--tag", "closed", "--driver", driver)
        assert as_nobody(box.orlop, "mount", "closed").code == 0
        assert as_nobody(box.orlop, "cat", "closed", "/closed/below/f").out == "x"
        assert as_nobody(box.orlop, "rm", "closed").code == 0
        as_nobody(box.collect)
        assert box.files() == {"format.json"}
        assert os.listdir(box.root / "chains/sha256") == []
        assert os.listdir(box.root / "trash") == []


def test_a_store_of_root_is_refused_with_a_hint():
    if os.geteuid() != 0:
        pytest.skip("needs root, to make a store that is not nobody's")
    with unprivileged_place() as place:
        box = StoreUnderTest(place)
        orlop.open_store(box.root, box.run).close()
        done = as_nobody(box.orlop, "images")
        done.check_failure(1, "Permission denied")
        assert "run it as the owner; if that is the store" in done.err
