"""Many processes that mount and unmount one image at once."""

import subprocess
import sys

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
