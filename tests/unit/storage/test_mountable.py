import os
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from orlop.digest import Digest
from orlop.drivers.overlay import MAX_LOWERS
from orlop.errors import UnsupportedError
from orlop.storage.chains import Stack
from orlop.storage.mountable import fits_overlay
from support.images import directory, file, hardlink, tar
from support.nobody import as_nobody

LAYERS = [
    tar(directory("etc"), file("etc/hostname", b"one\n")),
    tar(directory("etc"), file("etc/motd", b"two\n")),
]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root is offered mounts")


@pytest.fixture
def tars(build):
    return Stack.of([build(layer) for layer in LAYERS])


@pytest.fixture
def directories(build):
    return Stack.of([build(layer, kind="diff") for layer in LAYERS])


def test_nothing_is_found_before_it_is_made(storage, tars):
    assert storage.mountables.find(tars) is None
    for driver in ("erofs", "overlay", "directory"):
        assert storage.mountables.find(tars, driver) is None


def test_an_index_over_tars(storage, tars, lease):
    made = storage.mountables.prepare(tars, "erofs", lease)
    assert made.driver == "erofs"
    assert [path.name for path in made.paths] == ["index.erofs", "tar", "tar"]
    assert storage.mountables.find(tars, "erofs") == made


@needs_root
def test_what_is_there_is_taken(storage, tars, lease):
    made = storage.mountables.prepare(tars, "erofs", lease)
    assert storage.mountables.find(tars) == made
    assert storage.mountables.prepare(tars, "erofs", lease) == made


def test_an_index_without_its_tars_is_not_enough(storage, tars, lease):
    storage.mountables.prepare(tars, "erofs", lease)
    storage.forms.path(tars.diff_ids[0], "tar").unlink()
    assert storage.mountables.find(tars, "erofs") is None


@needs_root
def test_directories_one_on_another(storage, directories, lease):
    made = storage.mountables.prepare(directories, "overlay", lease)
    top, *lowers = made.paths
    assert (made.driver, top.name) == ("overlay", "top")
    assert lowers == [
        storage.forms.path(diff_id, "diff") for diff_id in reversed(directories.diff_ids)
    ]


@needs_root
def test_a_layer_that_comes_several_times_is_there_once_at_its_topmost_place(storage, build, lease):
    one, two = (build(layer, kind="diff") for layer in LAYERS)
    made = storage.mountables.prepare(Stack.of([one, two, one, one]), "overlay", lease)
    assert list(made.paths[1:]) == [storage.forms.path(each, "diff") for each in (one, two)]


@needs_root
def test_a_base_serves_below_all_others_only(storage, build, lease):
    base = build(tar(file("a/b", b"x")), kind="diff", lowest=True)
    other = build(LAYERS[0], kind="diff")
    assert storage.forms.usable(base, "base") == "base"
    below = storage.mountables.prepare(Stack.of([base, other]), "overlay", lease)
    assert below.paths[-1].name == "base"
    storage.chains.build_top(Stack.of([other, base]), lease)
    assert storage.mountables.find(Stack.of([other, base]), "overlay") is None


def test_where_an_overlay_cannot_be_a_directory_is(storage, tars, lease):
    made = storage.mountables.prepare(tars, "overlay", lease)
    assert made.driver == "directory"
    assert (made.paths[0] / "etc/motd").read_bytes() == b"two\n"


def test_a_directory_is_made_when_it_is_mounted(storage, tars, lease):
    assert storage.mountables.prepare(tars, "directory", lease) is None
    made = storage.mountables.prepare_directory(tars, lease)
    assert storage.mountables.prepare(tars, "directory", lease) == made
    assert storage.mountables.find(tars, "directory") == made


def test_a_directory_is_written_once_though_many_want_it(storage, build, lease):
    """One that is written again would take the first away from whoever has mounted it."""
    stack = Stack.of([build(tar(*(file(f"file-{number}", b"x") for number in range(500))))])
    begin = Barrier(4)

    def inode(_):
        begin.wait()
        return storage.mountables.prepare_directory(stack, lease).paths[0].stat().st_ino

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(inode, range(4)))) == 1
    assert os.listdir(storage.places.staging) == []


def test_hard_links_into_layers_below(storage, build, lease):
    below = build(tar(directory("bin"), file("bin/tool", b"tool")))
    above = build(tar(hardlink("bin/alias", "bin/tool")))
    made = storage.mountables.prepare_directory(Stack.of([below, above]), lease)
    assert os.path.samefile(made.paths[0] / "bin/alias", made.paths[0] / "bin/tool")


def test_how_many_layers_an_overlay_has():
    diff_ids = [Digest.of(b"%d" % number) for number in range(MAX_LOWERS)]
    assert fits_overlay(diff_ids[:-1])
    assert not fits_overlay(diff_ids)
    assert fits_overlay([diff_ids[0]] * MAX_LOWERS)


def refusals(mountables):
    """Which drivers are refused, and why."""
    found = {}
    for driver in ("erofs", "overlay", "directory", None):
        try:
            mountables.check_right(driver)
        except UnsupportedError as error:
            found[driver] = str(error)
    return found


def test_without_the_right_to_mount(storage):
    assert as_nobody(storage.mountables.best_driver) == "directory"
    assert as_nobody(refusals, storage.mountables) == {
        driver: f"the driver {driver} needs root (CAP_SYS_ADMIN)" for driver in ("erofs", "overlay")
    }


@needs_root
def test_the_best_driver_leaves_nothing_behind(storage):
    assert storage.mountables.best_driver() in {"erofs", "overlay"}
    assert os.listdir(storage.places.staging) == []
