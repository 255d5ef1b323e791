"""Processes that work on layers, images and containers until they are killed, and their model.

Each worker has objects of its own, and some that all fight for. It says what it is about to do and
that it has done it; whoever reads that has a model of what must be there. Of what was begun and not
done either may be: `settle` looks, and takes what it finds into the model.

    worker = Worker(number, open_store)
    worker.start()                      a fork of this process
    worker.kill()                       SIGKILL
    worker.settle(store)
    verify(store, worker.model)
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
from dataclasses import dataclass, field

from orlop.errors import AlreadyExistsError, InUseError, InvalidError, NotFoundError
from support.images import file, tar

BASE = {"base": "base"}
"""The files of the image that containers are made from."""
SHARED = "shared"
_BUSY = (InUseError, NotFoundError, AlreadyExistsError, InvalidError)


@dataclass
class Thing:
    """A layer, a container or an image, as it must be."""

    kind: str
    files: dict
    parent: str = ""
    names: set = field(default_factory=set)
    data: dict = field(default_factory=dict)


class Model(dict):
    """Things by ID; an image's is its name."""

    def of(self, *kinds):
        return sorted(key for key, thing in self.items() if thing.kind in kinds)

    def free_layers(self):
        """Layers that nothing stands on."""
        used = {thing.parent for thing in self.values()}
        return [key for key in self.of("layer") if key not in used]


def choose(model, number, rng):
    """What to do next: words, for JSON."""
    many = len(model) > 14
    options = ["create", "put", "container"] * (1 if many else 3) + ["collect", "share", "share"]
    if model.of("layer"):
        options += ["name", "unname", "child"]
    if model.of("layer", "container"):
        options += ["data", "undata"]
    if model.free_layers():
        options += ["write", "write", "apply"] + ["delete"] * (3 if many else 1)
    if model.of("container"):
        options += ["write-container", "commit"] + ["delete-container"] * (3 if many else 1)
    if model.of("image"):
        options += ["untag"] * (3 if many else 1)
    what = rng.choice(options)
    new = f"w{number}-{rng.randrange(10**9)}"
    op = {"what": what, "new": new, "file": f"f{rng.randrange(6)}", "text": rng.randbytes(8).hex()}
    if what in {"write", "apply", "delete"}:
        op["id"] = rng.choice(model.free_layers())
    elif what in {"name", "unname", "child"}:
        op["id"] = rng.choice(model.of("layer"))
    elif what in {"data", "undata"}:
        op["id"] = rng.choice(model.of("layer", "container"))
    elif what in {"write-container", "commit", "delete-container"}:
        op["id"] = rng.choice(model.of("container"))
    elif what == "untag":
        op["id"] = rng.choice(model.of("image"))
    if what == "unname":
        op["name"] = next(iter(sorted(model[op["id"]].names)), "none")
    if what == "undata":
        op["name"] = next(iter(sorted(model[op["id"]].data)), "none")
    return op


def perform(store, model, op):
    """Do it."""
    what, key, new = op["what"], op.get("id"), op["new"]
    archive = io.BytesIO(tar(file(op["file"], op["text"].encode())))
    if what == "create":
        store.layers.create(id=new, names=[f"n-{new}"])
    elif what == "put":
        store.layers.put(archive, id=new)
    elif what == "child":
        # What was written to the parent is frozen by this.
        store.layers.put(archive, key, id=new)
    elif what == "container":
        store.containers.create("base", id=new)
    elif what in {"write", "write-container"}:
        objects = store.layers if what == "write" else store.containers
        with objects.mount(key) as path:
            (path / op["file"]).write_text(op["text"])
    elif what == "apply":
        store.layers.apply_diff(key, archive)
    elif what == "delete":
        store.layers.delete(key)
    elif what == "delete-container":
        store.containers.delete(key)
    elif what == "name":
        store.layers.add_names(key, [f"n-{new}"])
    elif what == "unname":
        store.layers.remove_names(key, [op["name"]])
    elif what == "data":
        data_of(store, model[key]).put(key, op["file"], op["text"].encode())
    elif what == "undata":
        if op["name"] != "none":
            data_of(store, model[key]).delete(key, op["name"])
    elif what == "commit":
        store.containers.commit(key, image_name(new))
    elif what == "untag":
        store.untag(key)
    elif what == "collect":
        store.collect()
    else:
        share(store, op)


def share(store, op):
    """Fight for what all have."""
    with contextlib.suppress(*_BUSY):
        with store.containers.mount(SHARED) as path:
            (path / op["file"]).write_text(op["text"])
        store.containers.data.put(SHARED, "item", op["text"].encode())
        store.containers.set_metadata(SHARED, op["text"])
        store.layers.create(id=f"{SHARED}-layer", names=["moving"])
    with contextlib.suppress(*_BUSY):
        if op["text"] > "8":
            store.layers.delete(f"{SHARED}-layer")


def apply(model, op):
    """Take what was done into the model."""
    what, key, new = op["what"], op.get("id"), op["new"]
    change = {op["file"]: op["text"]}
    if what == "create":
        model[new] = Thing("layer", {}, names={f"n-{new}"})
    elif what == "put":
        model[new] = Thing("layer", change)
    elif what == "child":
        model[new] = Thing("layer", {**model[key].files, **change}, parent=key)
    elif what == "container":
        model[new] = Thing("container", {**BASE})
    elif what in {"write", "write-container", "apply"}:
        model[key].files.update(change)
    elif what in {"delete", "delete-container", "untag"}:
        del model[key]
    elif what == "name":
        model[key].names.add(f"n-{new}")
    elif what == "unname":
        model[key].names.discard(op["name"])
    elif what == "data":
        model[key].data[op["file"]] = op["text"]
    elif what == "undata":
        model[key].data.pop(op["name"], None)
    elif what == "commit":
        model[image_name(new)] = Thing("image", dict(model[key].files))


def image_name(new):
    return f"localhost/{new}:1"


def data_of(store, thing):
    return (store.layers if thing.kind == "layer" else store.containers).data


def is_there(store, kind, key):
    try:
        if kind == "image":
            store.image(key)
        else:
            (store.layers if kind == "layer" else store.containers).get(key)
    except NotFoundError:
        return False
    return True


def files_of(store, kind, key):
    """The files of a thing, as the kernel shows them."""
    if kind == "image":
        shown = store.image(key).mount()
    else:
        objects = store.layers if kind == "layer" else store.containers
        shown = objects.mount(key, read_only=True)
    with shown as path:
        return {each.name: each.read_text() for each in sorted(path.iterdir())}


def state_of(store, key, thing):
    """A thing as it is; None where it is not there."""
    if not is_there(store, thing.kind, key):
        return None
    found = Thing(thing.kind, files_of(store, thing.kind, key), thing.parent)
    if thing.kind == "layer":
        found.names = set(store.layers.get(key).names)
    if thing.kind != "image":
        data = data_of(store, thing)
        found.data = {item.name: data.get(key, item.name).decode() for item in data.list(key)}
    return found


def verify(store, model, ids=None):
    """All that was done is there, and nothing else of it."""
    for key in sorted(model) if ids is None else ids:
        found = state_of(store, key, model[key])
        assert found == model[key], f"{key}: {found} instead of {model[key]}"


class Worker:
    """A process that works until it is killed, and what it must have done."""

    def __init__(self, number, open_store):
        self._open_store = open_store
        self.number = number
        self.random = random.Random(number)
        self.model = Model()
        self.done = {}
        self._begun = None
        self._pid = 0

    def start(self):
        seed = self.random.random()
        reading, writing = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                os.close(reading)
                self._work(writing, random.Random(seed))
            finally:
                os._exit(1)
        os.close(writing)
        self._said = open(reading, "rb")  # noqa: SIM115
        self._begun = None

    def kill(self):
        """End it, and read all that it has said."""
        os.kill(self._pid, signal.SIGKILL)
        _, status = os.waitpid(self._pid, 0)
        with self._said:
            said = self._said.read()
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL, said[-2000:].decode()
        for line in said.splitlines():
            word, _, text = line.decode().partition(" ")
            op = json.loads(text)
            if word == "done":
                apply(self.model, op)
                self.done[op["what"]] = self.done.get(op["what"], 0) + 1
            self._begun = op if word == "begin" else None

    def settle(self, store):
        """Take what was begun and not done into the model, if it was done after all."""
        op = self._begun
        if op is None or op["what"] in {"collect", "share"}:
            return
        after = Model({key: Thing(**vars(thing)) for key, thing in self.model.items()})
        for thing in after.values():
            thing.files, thing.names = dict(thing.files), set(thing.names)
            thing.data = dict(thing.data)
        apply(after, op)
        changed = [key for key in {*self.model, *after} if self.model.get(key) != after.get(key)]
        for key in changed:
            thing = after.get(key) or self.model[key]
            found = state_of(store, key, thing)
            if op["what"].startswith("write") and found is not None:
                # It may have been half-written.
                before = self.model[key].files.get(op["file"])
                text = found.files.get(op["file"])
                assert text == before or op["text"].startswith(text), (op, text)
                found.files.pop(op["file"], None)
                expected = dict(self.model[key].files)
                expected.pop(op["file"], None)
                assert found.files == expected
                if text is not None:
                    found.files[op["file"]] = text
            else:
                assert found in (self.model.get(key), after.get(key)), (op, found)
            if found is None:
                self.model.pop(key, None)
            else:
                self.model[key] = found

    def _work(self, writing, rng):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with open(writing, "wb", buffering=0) as out, self._open_store() as store:
            while True:
                op = choose(self.model, self.number, rng)
                out.write(b"begin " + json.dumps(op).encode() + b"\n")
                try:
                    perform(store, self.model, op)
                except Exception as error:
                    out.write(f"failed {json.dumps({**op, 'why': repr(error)})}\n".encode())
                    raise
                apply(self.model, op)
                out.write(b"done " + json.dumps(op).encode() + b"\n")
