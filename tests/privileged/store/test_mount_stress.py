"""Many processes that mount and unmount one image at once."""

import subprocess
import sys
from pathlib import Path

from orlop._sys.lock import FileLock

WORK = """
import os, random, sys
from pathlib import Path
import orlop

number = int(sys.argv[3])
random.seed(number)
own = Path(sys.argv[4]) / f"target-{number % 3}"
with orlop.open_store(*sys.argv[1:3]) as store:
    image = store.image("box")
    for _ in range(12):
        target = random.choice([None, None, own])
        try:
            with image.mount(target) as rootfs:
                if (rootfs / "etc/hostname").read_text() != "second\\n":
                    raise SystemExit("another content")
        except orlop.errors.AlreadyExistsError:
            continue
    if number == 7:
        image.mount()
        os._exit(0)
"""


def test_eight_processes_leave_nothing(command, tmp_path, store, mounted):
    for number in range(3):
        (tmp_path / f"target-{number}").mkdir()
    arguments = [sys.executable, "-c", WORK, command.root, command.run]
    processes = [
        subprocess.Popen([*arguments, str(number), tmp_path], stderr=subprocess.PIPE, text=True)
        for number in range(8)
    ]
    collecting = [command.start("gc") for _ in range(2)]
    for process in collecting:
        assert process.communicate(timeout=60)[1] == ""
    ended = [(process.communicate(timeout=60)[1], process.returncode) for process in processes]
    assert ended == [("", 0)] * 8
    command.collect()
    assert mounted() == []
    assert store.mounts() == []
    assert list((command.run / "mounts").iterdir()) == []


FOREVER = """
import sys
from pathlib import Path
import orlop

targets = [None, Path(sys.argv[3])]
with orlop.open_store(*sys.argv[1:3]) as store:
    image = store.image("box")
    print("ready", flush=True)
    while True:
        for target in targets:
            with image.mount(target) as rootfs:
                (rootfs / "etc/hostname").read_text()
"""


def test_killed_processes_leave_nothing_that_gc_does_not_take(command, tmp_path, store, mounted):
    processes = []
    for number in range(4):
        target = tmp_path / f"target-{number}"
        target.mkdir()
        arguments = [sys.executable, "-c", FOREVER, command.root, command.run, target]
        processes.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True))
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        with store.image("box").mount():
            command.collect()
        process.kill()
        process.communicate()
    command.collect()
    assert mounted() == []
    assert store.mounts() == []
    assert command.orlop("rm", "box").code == 0
    command.collect()
    assert command.files() == {"format.json"}


def test_no_mount_is_copied_that_comes_or_goes_just_now(image, tmp_path, store):
    """The copy would be one of the directory below; nor is the one that comes waited for."""
    place = tmp_path / "place"
    place.mkdir()
    with image.mount() as shared:
        lock = store.storage.places.mount_lock(Path(shared))
        with FileLock(lock), image.mount(place) as rootfs:
            assert (rootfs / "etc/hostname").read_text() == "second\n"
