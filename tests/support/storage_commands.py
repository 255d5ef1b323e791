"""`containers-storage` and `orlop-storage` beside each other, given the same words."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass

from orlop.storagecmd.run import run
from orlop.storagecmd.session import Streams

PHRASES = (
    "layer not known",
    "image not known",
    "container not known",
    "identifier is not a layer",
    "identifier is not an image",
    "identifier is not a container",
    "identifier is not a layer, image",
    "that ID is already in use",
    "that name is already in use",
    "layer has children",
    "layer is in use by an image",
    "layer is in use by a container",
    "image is in use by a container",
    "invalid checksum digest format",
    "size is not known",
    "could not compute digest of item",
    "does not exist",
    "no such file or directory",
    "no new metadata provided",
    "not a valid name for a big data item",
    "unsupported compression format tar.bz2",
    "unsupported compression format tar.xz",
    "flag provided but not defined",
    "flag needs an argument",
    "invalid boolean value",
    "setting is malformed",
    "specified along with",
    "no subuid ranges found",
    "unexpected EOF",
    "invalid tar header",
    "error finding layer",
    "while mounting",
    "while unmounting",
    "checking if",
    "driver not supported",
    "unable to parse key/value option",
    "a layer is mounted",
)
"""What scripts look for in messages."""

_ID = re.compile(r"\b[0-9a-f]{64}\b")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
_DATA = re.compile(r"(?:^(?:Data|\tdata): .*\n)+", re.MULTILINE)
_UNORDERED = {"exists", "list-image-data", "list-container-data", "list-layer-data", "changes"}


@dataclass(frozen=True)
class Done:
    """What came of a command, as far as both must agree."""

    code: int
    out: str
    phrases: tuple[str, ...]


class _Command:
    """One of the two, on a store of its own.

    Args:
        place: Where the store is.
        driver: What it uses.
    """

    def __init__(self, place, driver):
        self.place = place
        self.driver = driver
        self.options = ["-g", f"{place}/g", "-R", f"{place}/r", "-s", driver]
        self.ids = {}

    def __call__(self, *words, data=b"", options=None):
        code, out, err = self.run([*(self.options if options is None else options), *words], data)
        if words[:1] == ("changes",):  # Of what is compared with, the peer names the directory.
            err = err.replace("no such file or directory", "layer not known")
        return Done(code, self.normal(words, out), tuple(p for p in PHRASES if p in err))

    def raw(self, *words, data=b""):
        """The standard output of what must succeed."""
        code, out, err = self.run([*self.options, *words], data)
        assert code == 0, (words, out, err)
        return out

    def layer_of(self, container):
        """The layer of a container, whose ID nobody chose."""
        return json.loads(self.raw("container", "-j", container))[0]["layer"]

    def change(self, key, work):
        """Let something be done to the directory of a layer or container."""
        path = self.raw("mount", key).strip()
        try:
            work(path)
        finally:
            self.raw("unmount", key)

    def close(self):
        self.run([*self.options, "wipe"], b"")
        self.run([*self.options, "shutdown"], b"")

    def normal(self, words, out):
        """The output without what differs by nature: places, random IDs, moments."""
        verb = next((word for word in words if not word.startswith("-")), "")
        out = re.sub(rf"{re.escape(str(self.place))}/[gr]/[^\s\"]*", "PATH", out)
        out = out.replace(f"{self.place}/g", "ROOT").replace(f"{self.place}/r", "RUN")
        out = _ID.sub(lambda found: self._named(found[0]), _MOMENT.sub("MOMENT", out))
        out = _DATA.sub(_ordered, out)
        if verb == "image":
            out = re.sub(r"Size: [1-9]\d*", "Size: some", out)
        if verb in _UNORDERED and not out.startswith(("[", "{")):
            out = "".join(sorted(out.splitlines(keepends=True)))
        if out.startswith(("[", "{")):
            out = json.dumps(_sorted(json.loads(out), verb), ensure_ascii=False)
        return out

    def _named(self, key):
        return self.ids.setdefault(key, f"RANDOM-{len(self.ids)}")


class Peer(_Command):
    """`containers-storage`."""

    def run(self, words, data):
        done = subprocess.run(
            ["containers-storage", *words], input=data, capture_output=True, check=False, timeout=60
        )
        return (
            done.returncode,
            done.stdout.decode(errors="surrogateescape"),
            done.stderr.decode(errors="surrogateescape"),
        )


class Ours(_Command):
    """`orlop-storage`, in this process: its start is measured elsewhere."""

    def run(self, words, data):
        streams = Streams(stdin=io.BytesIO(data), out=io.BytesIO(), err=io.BytesIO())
        code = run("containers-storage", words, {}, streams)
        return (
            code,
            streams.out.getvalue().decode(errors="surrogateescape"),
            streams.err.getvalue().decode(errors="surrogateescape"),
        )


def _ordered(lines):
    return "".join(sorted(lines[0].splitlines(keepends=True)))


def _sorted(value, verb):
    """JSON whose lists of names and changes are in one order."""
    if isinstance(value, dict):
        return {
            key: sorted(item) if key == "big-data-names" else _sorted(item, verb)
            for key, item in value.items()
            if key != "names-history"  # The peer begins with the first change of names.
        }
    if isinstance(value, list):
        found = [_sorted(item, verb) for item in value]
        return sorted(found, key=json.dumps) if verb in _UNORDERED else found
    return value


ODD_NAMES = ('we\nird"é\\', "\udcff", "plain")


class Both:
    """The two on stores of their own, given the same commands.

    Args:
        place: Where everything is.
        driver: What both use.
    """

    def __init__(self, place, driver):
        self.place = place
        self.peer = Peer(place / "peer", driver)
        self.ours = Ours(place / "ours", driver)
        self.script = []
        (place / "hello").write_bytes(b"hello")
        self.tar = self.make_tar(
            "layer", {"a": b"one\n", "d/b": b"two", **dict.fromkeys(ODD_NAMES, b"x")}
        )

    def make_tar(self, name, files):
        """A tar with these files, and the directories above them."""
        tree = self.place / f"{name}.d"
        for path, data in files.items():
            target = os.path.join(tree, path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(data)
        path = self.place / f"{name}.tar"
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
            for entry in sorted(os.listdir(tree)):
                tar.add(os.path.join(tree, entry), entry)
        return str(path)

    def same(self, *words, **more):
        """Run a command with both, and require that they agree; what they agree on."""
        self.script.append(words)
        theirs, ours = self.peer(*words, **more), self.ours(*words, **more)
        assert ours == theirs, "\n".join(
            (*map(repr, self.script), f"theirs: {theirs}", f"ours:   {ours}")
        )
        return ours

    def all(self, *lines):
        for line in lines:
            self.same(*(line if isinstance(line, tuple) else line.split()))

    def change(self, key, work):
        self.script.append((f"change {key}",))
        for each in (self.peer, self.ours):
            each.change(key, work)

    def close(self):
        for each in (self.peer, self.ours):
            each.close()
        for name in ("g", "r"):
            home = self.place / "peer" / name / "overlay"
            if os.path.ismount(home):
                subprocess.run(["umount", home], check=True)
