"""Copies that are killed, interrupted, or run beside others: nothing lost, nothing half there."""

import random
import signal
import threading
import time
from pathlib import Path

import pytest

import orlop
from orlop.layout import DirectoryDriver, collect, list_images, open_source, parse_place, validate
from support.images import ImageBuilder, file
from support.stores import StoreUnderTest, outcome

FORMS = {
    "oci": "oci:{}/out:v1",
    "oci-archive": "oci-archive:{}/out:v1",
    "docker-archive": "docker-archive:{}/out",
    "dir": "dir:{}/out",
}


@pytest.fixture
def orlop_process(tmp_path):
    return StoreUnderTest(tmp_path / "store")


def image_of(tmp_path, tag, size=1000):
    builder = ImageBuilder(compression="none")
    for number in range(3):
        data = random.Random(f"{tag}{number}").randbytes(size)
        builder.layer(file(f"{tag}-{number}", data))
    return builder.write(tmp_path / f"from-{tag}", tag)


def digest_at(place):
    """What the place names; None where it is not there."""
    if not Path(parse_place(place).path).exists():
        return None
    with open_source(parse_place(place)) as source:
        return source.resolve().digest


def beside(tmp_path):
    return {each.name for each in tmp_path.iterdir() if not each.name.startswith("from-")} - {
        "store"
    }


def wait_for_first_bytes(tmp_path, process):
    """Until the copy has written something beside what it will be, or is over."""
    while process.poll() is None:
        begun = [*tmp_path.glob(".out.orlop-new*"), *tmp_path.glob("out/.orlop-*")]
        inside = [each for directory in begun for each in directory.glob("*")]
        if any(size_of(each) for each in begun + inside if not each.is_dir()):
            return
        time.sleep(0.002)


def size_of(path):
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_that_is_killed_leaves_what_was_there(form, tmp_path, orlop_process):
    old, new = image_of(tmp_path, "v1"), image_of(tmp_path, "v2", 30 << 20)
    place = FORMS[form].format(tmp_path)
    before = None
    if form != "docker-archive":  # to which nothing is ever added
        before = orlop.copy(old.source, place).digest
    delays = random.Random(7)
    for _ in range(4):
        process = orlop_process.start("copy", new.source, place)
        wait_for_first_bytes(tmp_path, process)
        time.sleep(delays.random() * 0.05)
        process.kill()
        outcome(process)
        assert digest_at(place) in {before, new.manifest["digest"]}
        if digest_at(place) == new.manifest["digest"]:
            break
    else:
        orlop.copy(new.source, place)
    assert digest_at(place) == new.manifest["digest"]
    assert beside(tmp_path) == {"out"}
    if form == "oci":
        driver = DirectoryDriver(tmp_path / "out")
        collect(driver, unfinished=True)
        assert list(validate(driver)) == []


@pytest.mark.parametrize("form", FORMS)
def test_control_c_leaves_nothing_beside(form, tmp_path, orlop_process):
    new = image_of(tmp_path, "v2", 12 << 20)
    place = FORMS[form].format(tmp_path)
    process = orlop_process.start("copy", new.source, place)
    wait_for_first_bytes(tmp_path, process)
    process.send_signal(signal.SIGINT)
    done = outcome(process)
    assert done.code in {0, 130, -signal.SIGINT}, done  # the last: when all was done
    assert beside(tmp_path) <= {"out"}
    if form != "oci":
        assert digest_at(place) in {None, new.manifest["digest"]}
    elif (tmp_path / "out").exists():
        assert DirectoryDriver(tmp_path / "out").unfinished() == []


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_many_processes_copy_into_one_new_place(form, tmp_path, orlop_process):
    """Each under its own tag, and all under one more: no name is lost, and that one is whole."""
    images = [image_of(tmp_path, f"v{number}") for number in range(4)]
    processes = []
    for image in images:
        for tag in (image.tag, "latest"):
            processes.append(
                orlop_process.start("copy", image.source, f"{form}:{tmp_path}/out:{tag}")
            )
    done = [outcome(process) for process in processes]
    assert {each.code for each in done} == {0}, done
    listed = list_images(parse_place(f"{form}:{tmp_path}/out"))
    assert sorted(each.selector for each in listed) == ["latest", "v0", "v1", "v2", "v3"]
    for image in images:
        assert digest_at(f"{form}:{tmp_path}/out:{image.tag}") == image.manifest["digest"]
    assert digest_at(f"{form}:{tmp_path}/out:latest") in {
        each.manifest["digest"] for each in images
    }
    assert beside(tmp_path) == {"out"}


@pytest.mark.parametrize("form", ["docker-archive", "dir"])
def test_several_processes_write_one_place_of_one_image(form, tmp_path, orlop_process):
    """What is there at the end is one of the images, whole."""
    images = [image_of(tmp_path, f"v{number}", 200_000) for number in range(3)]
    processes = [
        orlop_process.start("copy", image.source, f"{form}:{tmp_path}/out") for image in images
    ]
    done = [outcome(process) for process in processes]
    codes = sorted(each.code for each in done)
    assert codes == ([0, 1, 1] if form == "docker-archive" else [0, 0, 0]), done
    copied = orlop.copy(f"{form}:{tmp_path}/out", f"oci:{tmp_path}/from-out")
    assert copied.digest in {each.manifest["digest"] for each in images}
    assert beside(tmp_path) == {"out"}


def test_a_collector_of_the_layout_waits_for_copies(tmp_path):
    """Collections of the layout beside copies into it take nothing that a copy needs."""
    images = [image_of(tmp_path, f"v{number}", 100_000) for number in range(3)]
    place = tmp_path / "out"
    orlop.copy(images[0].source, f"oci:{place}:first")
    over = threading.Event()
    failures = []

    def free():
        while not over.is_set():
            try:
                collect(DirectoryDriver(place))
            except Exception as error:
                failures.append(error)

    collector = threading.Thread(target=free)
    collector.start()
    try:
        for _ in range(5):
            for image in images:
                orlop.copy(image.source, f"oci:{place}:{image.tag}")
    finally:
        over.set()
        collector.join()
    assert failures == []
    assert list(validate(DirectoryDriver(place))) == []


def test_a_reader_that_goes_away_ends_the_copy(tmp_path, orlop_process):
    image = image_of(tmp_path, "v1", 5 << 20)
    with orlop_process.start("copy", image.source, "oci-archive:-") as process:
        process.stdout.close()
        assert "its reader has gone" in process.stderr.read()
        assert process.wait(timeout=30) == 1
