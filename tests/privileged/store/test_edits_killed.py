"""Processes that edit one tag and are killed at any moment: nothing that was done is lost."""

import os
import random
import signal
import time

import pytest

import orlop
from orlop.errors import ConflictError
from support.images import ImageBuilder, file, tar

KILLS = 40
WORKERS = 3


class Editor:
    """A process that adds a variable to one tag after the other, and says so when it has."""

    def __init__(self, number, place):
        self.number, self.place = number, place
        self.done = []
        self._turn = 0

    def start(self):
        self._turn += 1
        read, write = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(write)
            self._read = read
            return
        try:
            os.close(read)
            self._work(write)
        finally:
            os._exit(1)

    def _work(self, write):
        with orlop.open_store(self.place / "root", self.place / "run") as store:
            for at in range(10**6):
                name = f"E{self.number}_{self._turn}_{at}"
                while True:
                    try:
                        draft = store.image("base:1").with_config(env={name: "1"})
                        if at % 3 == 0:
                            draft = draft.append(tar(file(name, name.encode())))
                        if at % 5 == 0:
                            draft = draft.flatten()
                        draft.save("base:1")
                    except ConflictError:
                        continue
                    break
                os.write(write, f"{name} {at % 3}\n".encode())

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        with os.fdopen(self._read) as lines:
            self.done += [line.split() for line in lines]


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path):
    source = ImageBuilder().layer(file("a", b"a")).write(tmp_path / "l").source
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        store.pull(source, tag="base:1")
    rng = random.Random(1)
    editors = [Editor(number, tmp_path) for number in range(WORKERS)]
    for each in editors:
        each.start()
    for turn in range(KILLS):
        time.sleep(rng.uniform(0.05, 0.6))
        editors[turn % WORKERS].kill()
        editors[turn % WORKERS].start()
    for each in editors:
        each.kill()
    done = [line for each in editors for line in each.done]
    assert len(done) >= KILLS // 4
    with orlop.open_store(tmp_path / "root", tmp_path / "run") as store:
        store.collect()
        assert [each for each in store.check().findings if each.damage != "leftover"] == []
        image = store.image("base:1")
        variables = {each.partition("=")[0] for each in image.config.config.env}
        names = {name.decode() for name, _ in image.list("/")}
        assert {name for name, _ in done} <= variables
        assert {name for name, kind in done if kind == "0"} <= names
        assert "a" in names
        told = sum(not step.empty_layer for step in image.config.history)
        assert told == len(image.manifest.layers)
        store.collect(unfinished=True)
        assert store.check().damaged == ()
