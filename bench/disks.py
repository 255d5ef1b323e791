"""Time disks of an image, beside the tools that make them of an unpacked tree.

    python bench/disks.py --image bench/work/images/debian-dev [--rounds 3]

The image is in the store, its layers unpacked to tars. Of each filesystem orlop writes a disk of
these; the peer has GNU tar write the files out of the same tars, and mkfs.erofs or mke2fs read them
again. Each figure is a median: seconds from start to end of the commands, with what they wrote on
the disk, and the largest of the processes. Needs root, erofs-utils, e2fsprogs, and about 12 GB.
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
from typing import TYPE_CHECKING, NamedTuple

import orlop
from orlop.disks import Builder, BuildOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.store import Store

COMMAND = str(Path(sys.executable).with_name("orlop"))
IMAGE = "localhost/image"
PAIRS = (
    ("orlop erofs", "mkfs.erofs"),
    ("orlop erofs lz4", "mkfs.erofs -zlz4 -C65536"),
    ("orlop ext4", "mke2fs -d"),
)


class Figure(NamedTuple):
    """What a piece of work took."""

    seconds: float
    memory: int
    size: int


class Work:
    """The disks of one image, by orlop and by others.

    Args:
        store: Where the image is.
        place: An empty directory.
    """

    def __init__(self, store: Store, place: Path) -> None:
        self.store = store
        self.out = place / "out"
        self.tree = place / "tree"
        image = store.image(IMAGE)
        forms = store.storage.forms
        self.tars = [str(forms.path(diff_id, "tar")) for diff_id in image.config.diff_ids]

    def orlop(self, *options: str) -> Figure:
        """A disk, or several, by the command."""
        self.clean()
        where = ["--root", str(self.store.root), "--run", str(self.store.run)]
        return self.run(
            [COMMAND, *where, "disk", IMAGE, "-q", "-o", str(self.out / "disk"), *options]
        )

    def unpack(self) -> Figure:
        """The files, out of the layers' tars."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir()
        self.clean()
        extract = f'tar -C {self.tree} --xattrs --xattrs-include="*" -xpf'
        return self.run(["sh", "-ec", "; ".join(f"{extract} {tar}" for tar in self.tars)])

    def mkfs(self, *options: str) -> Figure:
        """An EROFS of the files."""
        self.clean()
        return self.run(["mkfs.erofs", "--quiet", *options, str(self.out / "disk"), str(self.tree)])

    def mke2fs(self) -> Figure:
        """An ext4 of the files, as large as orlop's."""
        size = self.orlop("--fs", "ext4").size
        self.clean()
        disk = self.out / "disk"
        options = ["-q", "-F", "-t", "ext4", "-m", "0", "-d", str(self.tree)]
        return self.run(["mke2fs", *options, str(disk), f"{size * 105 // 100 // 1024}k"])

    def clean(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()
        os.sync()

    def run(self, command: list[str]) -> Figure:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status:
            sys.exit(f"{' '.join(command)} failed")
        size = sum(each.stat().st_size for each in self.out.iterdir())
        return Figure(seconds, usage.ru_maxrss * 1024, size)


def cached(store: Store) -> float:
    """Milliseconds of a build that finds its disks."""
    with Builder(BuildOptions(cache_dir=store.root, run_dir=store.run)) as builder:
        builder.build(IMAGE)
    found = []
    for _ in range(9):
        start = time.perf_counter()
        with Builder(BuildOptions(cache_dir=store.root, run_dir=store.run)) as builder:
            assert builder.build(IMAGE).cached
        found.append((time.perf_counter() - start) * 1000)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent / "work") as temporary:
        place = Path(temporary)
        with orlop.open_store(place / "root", place / "run") as store:
            store.pull(f"oci:{arguments.image}:latest", tag=IMAGE)
            work = Work(store, place)
            steps: dict[str, Callable[[], Figure]] = {
                "tar -x": work.unpack,
                "mkfs.erofs": work.mkfs,
                "orlop erofs": work.orlop,
                "mkfs.erofs -zlz4 -C65536": lambda: work.mkfs("-zlz4", "-C65536"),
                "orlop erofs lz4": lambda: work.orlop("--compress", "lz4"),
                "orlop erofs zstd": lambda: work.orlop("--compress", "zstd"),
                "mke2fs -d": work.mke2fs,
                "orlop ext4": lambda: work.orlop("--fs", "ext4"),
                "orlop erofs, one a layer": lambda: work.orlop("--layers"),
                "orlop erofs, indexed": lambda: work.orlop("--indexed"),
                "orlop erofs, verity": lambda: work.orlop("--verity"),
            }
            found: dict[str, list[Figure]] = {name: [] for name in steps}
            for _ in range(arguments.rounds):
                for name, step in steps.items():
                    found[name].append(step())
            tell(found)
            print(f"built again, from what is kept   {cached(store):9.1f} ms")


def tell(found: dict[str, list[Figure]]) -> None:
    print(f"{'':28}{'seconds':>9}{'MiB':>7}{'size MiB':>10}")
    for name, figures in found.items():
        seconds, memory, size = (statistics.median(each) for each in zip(*figures, strict=True))
        print(f"{name:28}{seconds:9.2f}{memory / 2**20:7.0f}{size / 2**20:10.0f}")
    for ours, theirs in PAIRS:
        ratio = statistics.median(
            own.seconds / (unpacked.seconds + peer.seconds)
            for own, unpacked, peer in zip(found[ours], found["tar -x"], found[theirs], strict=True)
        )
        print(f"{ours}: {ratio:.2f} x the time of tar -x and {theirs}")


if __name__ == "__main__":
    main()
