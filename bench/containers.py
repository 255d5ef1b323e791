"""Time containers: made, mounted, changed, committed; and the command that scripts call for that.

    python bench/containers.py --image bench/work/images/debian-dev [--rounds 30]
        [--containers 1000] [--layers 10000] [--keep DIR]

Calls of the library are timed in this process, commands from start to end. The same is done with
containers/storage where that can do it, in turn, so that the ratios hold whatever else the machine
does. Each figure is a median, in milliseconds. Needs root, and about 12 GB.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orlop
from orlop.digest import Digest
from orlop.metadata import LayerRow, Layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.store import Store

CHANGED = 10
"""Files that a container changes, spread over the image."""
LARGE = 1_000_000_000
"""Bytes that a container writes."""
COMMAND = str(Path(sys.executable).with_name("orlop-storage"))


def once(action: Callable[[], object]) -> float:
    """Milliseconds that something takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def rounds_of(count: int, *actions: Callable[[], object]) -> list[list[float]]:
    """Milliseconds of each action in each round, in turn, after a round that does not count."""
    for action in actions:
        action()
    return [[once(action) for action in actions] for _ in range(count)]


class Containers:
    """The library at work on one image.

    Args:
        store: Where it is.
        image: Its name.
    """

    def __init__(self, store: Store, image: str) -> None:
        self.store = store
        self.image = image

    def cycle(self) -> None:
        """Make a container, mount and unmount it, and remove it again."""
        containers = self.store.containers
        made = containers.create(self.image)
        containers.mount(made.id).unmount()
        containers.delete(made.id)

    def change(self, name: str) -> None:
        """Make a container that changes a few files all over the image."""
        self.store.containers.create(self.image, names=[name])
        with self.store.containers.mount(name) as rootfs:
            found = []
            for folder, _, files in os.walk(rootfs / "usr"):
                found += [os.path.join(folder, file) for file in files[:1]]
            step = max(1, len(found) // CHANGED)
            for path in found[::step][:CHANGED]:
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "ab") as file:
                        file.write(b"changed\n")

    def write(self, name: str) -> None:
        """Make a container that writes one large file of random bytes."""
        self.store.containers.create(self.image, names=[name])
        with self.store.containers.mount(name) as rootfs:
            block = os.urandom(1 << 20)
            with open(rootfs / "large", "wb") as file:
                file.writelines(
                    at.to_bytes(8, "big") + block[8:] for at in range(LARGE // len(block))
                )

    def diff(self, name: str) -> None:
        """Read what a container changed."""
        with self.store.containers.diff(name) as stream:
            while stream.read(1 << 20):
                pass

    def commit(self, name: str) -> None:
        """Make an image of a container, under a name that moves."""
        self.store.containers.commit(name, "localhost/committed:latest")


class Peer:
    """The same four calls by the command of containers/storage.

    Args:
        place: An empty directory.
    """

    def __init__(self, place: Path) -> None:
        self.options = [
            "containers-storage", "--graph", str(place / "graph"), "--run", str(place / "run"),
            "--storage-driver", "overlay",
        ]  # fmt: skip
        layer = self.call("create-layer")
        self.image = self.call("create-image", layer)

    def call(self, *arguments: str) -> str:
        """Run a command; the first line that it prints."""
        done = subprocess.run([*self.options, *arguments], check=True, capture_output=True)
        return (done.stdout.decode().splitlines() or [""])[0]

    def cycle(self) -> None:
        """Make a container, mount and unmount it, and remove it again."""
        made = self.call("create-container", self.image)
        self.call("mount", made)
        self.call("unmount", made)
        self.call("delete-container", made)

    def close(self) -> None:
        """Take its own mounts away."""
        subprocess.run([*self.options, "shutdown"], check=True, capture_output=True)


def compare_cycles(work: Containers, peer: Peer | None, rounds: int) -> None:
    """The four calls, side by side."""
    found = rounds_of(rounds, work.cycle, *([peer.cycle] if peer else []))
    ours = statistics.median(row[0] for row in found)
    print(f"create + mount + unmount + delete        {ours:9.2f}")
    if peer:
        theirs = statistics.median(row[1] for row in found)
        ratio = statistics.median(row[1] / row[0] for row in found)
        print(f"  four calls of containers-storage       {theirs:9.2f}   {ratio:.1f} x")
    print(f"  with a container mounted, per cycle    {beside_another(work, rounds):9.2f}")


def beside_another(work: Containers, rounds: int) -> float:
    """The cycle while the image is mounted for another container."""
    other = work.store.containers.create(work.image)
    with work.store.containers.mount(other.id):
        found = statistics.median(row[0] for row in rounds_of(rounds, work.cycle))
    work.store.containers.delete(other.id)
    return found


def crowd(work: Containers, count: int) -> None:
    """Many containers of one image, all mounted at once."""
    containers = work.store.containers
    made = [containers.create(work.image) for _ in range(count)]
    start = time.perf_counter()
    mounts = [containers.mount(each.id) for each in made]
    mounted = (time.perf_counter() - start) * 1000 / count
    with open("/proc/self/mountinfo") as file:
        indexes = sum(f" {work.store.run}" in line and " - erofs " in line for line in file)
    start = time.perf_counter()
    for each in mounts:
        each.unmount()
    for each in made:
        containers.delete(each.id)
    gone = (time.perf_counter() - start) * 1000 / count
    print(f"{count:,} mounted at once: mount one           {mounted:9.2f}")
    print(f"  unmount and delete one                 {gone:9.2f}   {indexes} mount of the image")


def changes(work: Containers, rounds: int, place: Path) -> None:
    """What becomes of few changes, and of many."""
    work.change("few")
    found = rounds_of(rounds, lambda: work.diff("few"), lambda: work.commit("few"))
    print(f"diff of {CHANGED} files changed                  {middle(found, 0):9.2f}")
    print(f"commit of {CHANGED} files changed                {middle(found, 1):9.2f}")
    work.write("many")
    source = place / "large"
    source.mkdir(exist_ok=True)
    with work.store.containers.mount("many") as rootfs:
        shutil.copy(rootfs / "large", source / "large")

    def tar() -> None:
        subprocess.run(["tar", "-C", source, "-cf", place / "large.tar", "large"], check=True)

    def tar_durable() -> None:
        tar()
        subprocess.run(["sync", place / "large.tar"], check=True)

    found = rounds_of(
        max(3, rounds // 10), lambda: work.commit("many"), tar, tar_durable,
        lambda: work.diff("many"),
    )  # fmt: skip
    print(f"commit of 1 GB                           {middle(found, 0):9.0f}")
    for at, name in ((1, "tar"), (2, "tar and sync")):
        ratio = statistics.median(row[at] / row[0] for row in found)
        print(f"  {name:38} {middle(found, at):9.0f}   {ratio:.2f} x our speed")
    print(f"diff of 1 GB, read and dropped           {middle(found, 3):9.0f}")
    for name in ("few", "many"):
        work.store.containers.delete(name)
    work.store.stored_images.delete("localhost/committed:latest")


def middle(found: list[list[float]], at: int) -> float:
    """The median of one action."""
    return statistics.median(row[at] for row in found)


def commands(place: Path, peer: Peer | None, rounds: int) -> None:
    """The executable that stands in for containers-storage, from start to end."""
    options = [COMMAND, "--graph", str(place / "root"), "--run", str(place / "run")]

    def ours() -> None:
        subprocess.run([*options, "exists", "-q", "nothing"], check=False, capture_output=True)

    def layers() -> None:
        subprocess.run([*options, "layers", "-q"], check=True, capture_output=True)

    def theirs() -> None:
        assert peer is not None
        subprocess.run([*peer.options, "exists", "-q", "no"], check=False, capture_output=True)

    found = rounds_of(rounds, ours, layers, *([theirs] if peer else []))
    print(f"orlop-storage exists, start to end       {middle(found, 0):9.2f}")
    print(f"orlop-storage layers -q                  {middle(found, 1):9.2f}")
    if peer:
        print(f"  containers-storage exists              {middle(found, 2):9.2f}")


def fill(store: Store, count: int) -> None:
    """Record so many layers, on each other by tens."""
    with store.storage.database.write() as tx:
        for number in range(count):
            id = Digest.of(f"layer {number}".encode()).encoded  # noqa: A001
            parent = Digest.of(f"layer {number - 1}".encode()).encoded if number % 10 else None
            Layers(tx).create(LayerRow(id=id, parent=parent, form="diff", created_at_ns=number))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--containers", type=int, default=1000)
    parser.add_argument("--layers", type=int, default=10_000)
    parser.add_argument("--keep", type=Path, help="where the store is, or will be")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent / "work") as temporary:
        place = arguments.keep or Path(temporary)
        peer = Peer(Path(temporary)) if shutil.which("containers-storage") else None
        with orlop.open_store(place / "root", place / "run") as store:
            name = store.pull(f"oci:{arguments.image}:latest", tag="localhost/image").name
            work = Containers(store, name)
            print("ms, medians; of the image", arguments.image.name)
            compare_cycles(work, peer, arguments.rounds)
            crowd(work, arguments.containers)
            changes(work, arguments.rounds, place)
            commands(place, peer, arguments.rounds)
            print(f"\nwith {arguments.layers:,} layers more")
            fill(store, arguments.layers)
            compare_cycles(work, None, arguments.rounds)
            changes(work, arguments.rounds, place)
            commands(place, None, arguments.rounds)
        if peer:
            peer.close()


if __name__ == "__main__":
    main()
