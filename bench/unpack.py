"""Time an image unpacked and repacked, beside umoci, and tar as the least that it can take.

    python bench/unpack.py --image bench/work/images/debian-dev [--rounds 3]

For `orlop unpack` and `tar -x` the layers lie there uncompressed; `umoci unpack` takes them out of
a layout, as `orlop pull` and `orlop unpack` together do. Then ten files are changed, and both
repack; and once more with nothing changed. Each figure is a median: seconds from start to end of
the command, seconds of CPU, and its largest process. Needs root, umoci, and about 12 GB.
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

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = str(Path(sys.executable).with_name("orlop"))
IMAGE = "localhost/image"
RATIOS = (
    ("orlop unpack", "tar -x"),
    ("orlop unpack", "umoci unpack"),
    ("orlop pull, unpack", "umoci unpack"),
    ("orlop repack", "umoci repack"),
    ("orlop repack --hash", "umoci repack"),
)


class Figure(NamedTuple):
    """What a piece of work took."""

    seconds: float
    cpu: float
    memory: int


class Work:
    """One image, unpacked by several.

    Args:
        layout: The image, as a layout.
        place: An empty directory.
    """

    def __init__(self, layout: Path, place: Path) -> None:
        self.layout = layout
        self.place = place
        self.copy = place / "layout"
        shutil.copytree(layout, self.copy)
        with orlop.open_store(place / "root", place / "run") as store:
            image = store.pull(f"oci:{layout}:latest", tag=IMAGE)
            forms = store.storage.forms
            self.tars = [str(forms.path(diff_id, "tar")) for diff_id in image.config.diff_ids]

    def orlop(self, *words: str, store: str = "") -> list[str]:
        root, run = self.place / f"{store}root", self.place / f"{store}run"
        return [COMMAND, "--root", str(root), "--run", str(run), *words]

    def unpack(self) -> Figure:
        """Out of the store."""
        return self.run(self.orlop("unpack", "-q", IMAGE, str(self.fresh("orlop"))))

    def pull_and_unpack(self) -> Figure:
        """Out of the layout, by way of a new store."""
        for name in ("fresh-root", "fresh-run"):
            shutil.rmtree(self.place / name, ignore_errors=True)
        source = f"oci:{self.layout}:latest"
        command = self.orlop("unpack", "-q", source, str(self.fresh("pulled")), store="fresh-")
        return self.run(command)

    def tar(self) -> Figure:
        """Out of the layers' tars, one after another; whiteouts stay files."""
        target = self.fresh("tar")
        target.mkdir()
        extract = f'tar -C {target} --xattrs --xattrs-include="*" -xpf'
        return self.run(["sh", "-ec", "; ".join(f"{extract} {tar}" for tar in self.tars)])

    def umoci(self) -> Figure:
        """Out of the layout."""
        target = self.fresh("umoci")
        return self.run(["umoci", "unpack", "--image", f"{self.layout}:latest", str(target)])

    def change(self) -> None:
        """Change ten files of both, spread over the tree."""
        for name in ("orlop", "umoci"):
            rootfs = self.place / name / "rootfs"
            files = sorted(rootfs.glob("usr/share/*/*"))
            files = [file for file in files if file.is_file() and not file.is_symlink()]
            for file in files[:: max(1, len(files) // 10)][:10]:
                with file.open("ab") as opened:
                    opened.write(b"changed\n")

    def repack(self, *options: str) -> Figure:
        return self.run(
            self.orlop("repack", "-q", "-t", "made", *options, str(self.place / "orlop"))
        )

    def umoci_repack(self) -> Figure:
        target = self.place / "umoci"
        return self.run(["umoci", "repack", "--image", f"{self.copy}:made", str(target)])

    def fresh(self, name: str) -> Path:
        """A path at which nothing is any more."""
        path = self.place / name
        shutil.rmtree(path, ignore_errors=True)
        return path

    def run(self, command: list[str]) -> Figure:
        os.sync()
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed")
        return Figure(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    work = Path(__file__).parent / "work"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        bench = Work(arguments.image, Path(temporary))
        steps: dict[str, Callable[[], Figure]] = {
            "tar -x": bench.tar,
            "umoci unpack": bench.umoci,
            "orlop unpack": bench.unpack,
            "orlop pull, unpack": bench.pull_and_unpack,
            "orlop repack, no change": bench.repack,
            "umoci repack": bench.umoci_repack,
            "orlop repack": bench.repack,
            "orlop repack --hash": lambda: bench.repack("--hash"),
        }
        found: dict[str, list[Figure]] = {name: [] for name in steps}
        for _ in range(arguments.rounds):
            for name, step in steps.items():
                if name == "umoci repack":
                    bench.change()
                found[name].append(step())
        tell(found)


def tell(found: dict[str, list[Figure]]) -> None:
    print(f"{'':28}{'seconds':>9}{'CPU s':>9}{'MiB':>7}")
    for name, figures in found.items():
        seconds, cpu, memory = (statistics.median(each) for each in zip(*figures, strict=True))
        print(f"{name:28}{seconds:9.2f}{cpu:9.2f}{memory / 2**20:7.0f}")
    for ours, theirs in RATIOS:
        seconds, cpu = (
            statistics.median(
                own[at] / peer[at] for own, peer in zip(found[ours], found[theirs], strict=True)
            )
            for at in (0, 1)
        )
        print(f"{ours}: {seconds:.2f} x the time of {theirs}, {cpu:.2f} x its CPU time")


if __name__ == "__main__":
    main()
