"""Measure orlop and its peers on the same images, in turn, on this machine.

    make bench                       everything, three rounds
    make bench BENCH_ARGS="--rounds 5 --only layout,small"

Each round runs every contender of a row once, one after another, from a clean start (the store of
the last run removed, dirty pages written out). The table gives medians over the rounds: seconds
from start to end, CPU seconds, peak memory of the largest process, and the ratios to orlop, taken
round by round. The `limit` row is no contender: it gunzips the layers and hashes both forms, in
one process, and does nothing else. `many`, `tags`, `containers`, `disks`, `unpack` and
`run_containers` are scripts of their own.

Needs root, the peers that tests/peers.sh installs, and about 20 GB in bench/work.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Contender = tuple[str, Callable[[], object], Callable[[], list[str]]]
    Group = tuple[str, str, list[Contender]]

HERE = Path(__file__).resolve().parent
IMAGE, NEXT_IMAGE = "debian-dev", "debian-dev-2"
ORLOP = [str(Path(sys.executable).with_name("orlop"))]

LIMIT = """
import hashlib, json, sys
from isal import isal_zlib
layout = sys.argv[1]
def blob(digest):
    return f"{layout}/blobs/sha256/{digest[7:]}"
index = json.load(open(f"{layout}/index.json"))
manifest = json.load(open(blob(index["manifests"][0]["digest"])))
for layer in manifest["layers"]:
    stored, plain, inflate = hashlib.sha256(), hashlib.sha256(), isal_zlib.decompressobj(31)
    with open(blob(layer["digest"]), "rb") as file:
        while chunk := file.read(1 << 20):
            stored.update(chunk)
            plain.update(inflate.decompress(chunk))
"""


@dataclass
class Sample:
    seconds: float
    cpu: float
    memory: int


@dataclass
class Row:
    """One line of the table: a contender at one piece of work."""

    work: str
    contender: str
    prepare: Callable[[], object]
    command: Callable[[], list[str]]
    samples: list[Sample] = field(default_factory=list)

    def run(self) -> None:
        self.prepare()
        os.sync()
        self.samples.append(measure(self.command()))

    def median(self, name: str) -> float:
        return statistics.median(getattr(sample, name) for sample in self.samples)

    def ratio(self, other: Row, name: str) -> float:
        """The median over the rounds of this row's figure to the other's in the same round."""
        pairs = zip(self.samples, other.samples, strict=True)
        return statistics.median(getattr(a, name) / getattr(b, name) for a, b in pairs)


def measure(command: list[str]) -> Sample:
    """Run a command; time, CPU time of it and all it waited for, and peak memory in bytes."""
    start = time.perf_counter()
    with open(HERE / "work/last-output", "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment()
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{(HERE / 'work/last-output').read_text()[-2000:]}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def environment() -> dict[str, str]:
    own = {"STORAGE_DRIVER": "overlay", "TMPDIR": str(HERE / "work")}
    # An installed program finds its modules compiled; so does orlop here.
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | own


def nothing() -> None:
    """Prepare nothing."""


class Bench:
    """The places that the runs work in, and the rows that are asked for."""

    def __init__(self, work: Path, images: Path, registry: str) -> None:
        self.work, self.images, self.registry = work, images, registry
        self.stores = work / "stores"

    def clean(self, name: str) -> Path:
        """An empty place for a store."""
        place = self.stores / name
        with open("/proc/self/mounts") as mounts:
            targets = [line.split()[1] for line in mounts]
        for target in reversed(targets):
            if target.startswith(f"{place}/"):
                subprocess.run(["umount", "-l", target], check=True)
        subprocess.run(["rm", "-rf", place], check=True)
        place.mkdir(parents=True)
        return place

    def orlop(self, *arguments: str) -> list[str]:
        return [
            *ORLOP,
            "--root",
            str(self.stores / "orlop/root"),
            "--run",
            str(self.stores / "orlop/run"),
            *arguments,
        ]

    def pull(self, source: str, *options: str) -> list[str]:
        return self.orlop("pull", "--quiet", *options, source)

    def containers_storage(self, source: str) -> list[str]:
        place = self.stores / "skopeo"
        target = f"containers-storage:[overlay@{place}/root+{place}/run]localhost/bench:latest"
        return [
            "skopeo",
            "--insecure-policy",
            "copy",
            "-q",
            "--src-tls-verify=false",
            source,
            target,
        ]

    def podman(self, source: str) -> list[str]:
        place = self.stores / "podman"
        return [
            "podman",
            f"--root={place}/root",
            f"--runroot={place}/run",
            "pull",
            "-q",
            "--tls-verify=false",
            source,
        ]

    def umoci(self) -> list[str]:
        return [
            "umoci",
            "unpack",
            "--image",
            f"{self.images}/{IMAGE}:latest",
            str(self.stores / "umoci/bundle"),
        ]

    def skopeo_and_umoci(self) -> list[str]:
        layout, bundle = self.stores / "umoci/layout", self.stores / "umoci/bundle"
        return [
            "sh",
            "-ec",
            f"""
            skopeo --insecure-policy copy -q --src-tls-verify=false \\
                docker://{self.registry}/{IMAGE} oci:{layout}:latest
            umoci unpack --image {layout}:latest {bundle}""",
        ]

    def fresh(self, name: str) -> Callable[[], object]:
        return lambda: self.clean(name)

    def with_first_image(self) -> None:
        self.clean("orlop")
        subprocess.run(
            self.pull(f"oci:{self.images}/{IMAGE}:latest"), check=True, stdout=subprocess.DEVNULL
        )

    def rows(self) -> Iterator[tuple[str, Row]]:
        """Every row, with the group that `--only` knows it by."""
        for group, work, contenders in self.groups():
            for contender, prepare, command in contenders:
                yield group, Row(work, contender, prepare, command)

    def groups(self) -> Iterator[Group]:
        layout, following = (f"oci:{self.images}/{name}:latest" for name in (IMAGE, NEXT_IMAGE))
        remote = f"{self.registry}/{IMAGE}:latest"
        orlop, umoci, skopeo, podman = map(self.fresh, ("orlop", "umoci", "skopeo", "podman"))
        yield (
            "layout",
            "layout to mountable",
            [
                ("orlop", orlop, lambda: self.pull(layout)),
                ("umoci unpack", umoci, self.umoci),
                ("skopeo, containers-storage", skopeo, lambda: self.containers_storage(layout)),
                ("podman pull", podman, lambda: self.podman(layout)),
                ("limit", nothing, self.limit),
            ],
        )
        url = f"docker://{remote}"
        yield (
            "registry",
            "registry to mountable",
            [
                ("orlop", orlop, lambda: self.pull(remote)),
                ("skopeo, then umoci", umoci, self.skopeo_and_umoci),
                ("skopeo, containers-storage", skopeo, lambda: self.containers_storage(url)),
                ("podman pull", podman, lambda: self.podman(url)),
            ],
        )
        yield (
            "directories",
            "layout to directories",
            [
                ("orlop", orlop, lambda: self.pull(layout, "--driver", "overlay")),
                ("umoci unpack", umoci, self.umoci),
            ],
        )
        yield (
            "next",
            "the next image, which shares all layers but one",
            [
                ("orlop", self.with_first_image, lambda: self.pull(following)),
                ("its top layer alone", orlop, lambda: self.pull(f"oci:{self.top_layer()}:latest")),
            ],
        )
        yield (
            "small",
            "what is there already",
            [
                ("orlop pull", self.with_first_image, lambda: self.pull(layout)),
                ("orlop images", nothing, lambda: self.orlop("images")),
            ],
        )

        yield (
            "copy",
            "layout to layout",
            [
                ("orlop copy", self.fresh("copy"), lambda: self.copy("copy/to")),
                ("cp, then one SHA-256", self.fresh("cp"), self.cp),
                ("skopeo copy", self.fresh("skopeo-copy"), self.skopeo_copy),
            ],
        )

    def copy(self, place: str) -> list[str]:
        source = f"oci:{self.images}/{IMAGE}:latest"
        return [*ORLOP, "copy", "--quiet", source, f"oci:{self.stores / place}:latest"]

    def cp(self) -> list[str]:
        place = self.stores / "cp/to"
        copied = f"cp -r {self.images / IMAGE} {place}"
        return ["sh", "-ec", f"{copied}; openssl dgst -sha256 {place}/blobs/sha256/*"]

    def skopeo_copy(self) -> list[str]:
        place = self.stores / "skopeo-copy/to"
        source = f"oci:{self.images}/{IMAGE}:latest"
        return ["skopeo", "--insecure-policy", "copy", "-q", source, f"oci:{place}:latest"]

    def limit(self) -> list[str]:
        return [sys.executable, "-c", LIMIT, f"{self.images}/{IMAGE}"]

    def top_layer(self) -> Path:
        """A layout of an image with only the top layer of the next image."""
        target, source = self.work / "top-layer", self.images / NEXT_IMAGE
        if not target.exists():
            make_top_layer(source, target)
        return target


def make_top_layer(source: Path, target: Path) -> None:
    import hashlib

    def load(descriptor: dict) -> dict:
        return json.loads((source / "blobs/sha256" / descriptor["digest"][7:]).read_bytes())

    def put(document: dict, like: dict) -> dict:
        data = json.dumps(document).encode()
        digest = hashlib.sha256(data).hexdigest()
        (target / "blobs/sha256" / digest).write_bytes(data)
        return {**like, "digest": f"sha256:{digest}", "size": len(data)}

    (target / "blobs/sha256").mkdir(parents=True)
    index = json.loads((source / "index.json").read_bytes())
    manifest = load(index["manifests"][0])
    config = load(manifest["config"])
    layer = manifest["layers"][-1]
    shutil.copy2(
        source / "blobs/sha256" / layer["digest"][7:], target / "blobs/sha256" / layer["digest"][7:]
    )
    config["rootfs"]["diff_ids"] = config["rootfs"]["diff_ids"][-1:]
    config["history"] = config["history"][-1:]
    manifest.update(layers=[layer], config=put(config, manifest["config"]))
    index["manifests"] = [put(manifest, index["manifests"][0])]
    (target / "index.json").write_text(json.dumps(index))
    shutil.copy2(source / "oci-layout", target / "oci-layout")


@contextmanager
def registry(work: Path, images: Path) -> Iterator[str]:
    """Debian's docker-registry on a free loopback port, with the image in it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    config = work / "registry.yaml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {work}/registry}}}}\nhttp: {{addr: {address}}}\n"
    )
    server = subprocess.Popen(
        ["docker-registry", "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(address)
        subprocess.run(
            [
                "skopeo",
                "--insecure-policy",
                "copy",
                "-q",
                "--dest-tls-verify=false",
                f"oci:{images}/{IMAGE}:latest",
                f"docker://{address}/{IMAGE}:latest",
            ],
            check=True,
        )
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(address: str) -> None:
    host, port = address.split(":")
    for _ in range(100):
        try:
            socket.create_connection((host, int(port)), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit("docker-registry does not answer")


def table(rows: list[Row]) -> str:
    """The medians, and how many times orlop's seconds and CPU seconds of the same round."""
    lines = [f"{'':34}{'seconds':>9}{'CPU s':>9}{'MiB':>7}{'x orlop':>9}{'CPU x':>9}"]
    own = rows[0]
    for row in rows:
        if row.work != own.work or row is rows[0]:
            own = row
            lines.append(f"\n{row.work}")
        lines.append(
            f"  {row.contender:32}{row.median('seconds'):9.2f}{row.median('cpu'):9.2f}"
            f"{row.median('memory') / 2**20:7.0f}"
            f"{row.ratio(own, 'seconds'):9.2f}{row.ratio(own, 'cpu'):9.2f}"
        )
    return "\n".join(lines)


def chart(rows: list[Row]) -> str:
    """The medians as an SVG bar chart, one group of bars a piece of work."""
    longest = max(row.median("seconds") for row in rows)
    parts, y, work = [], 10, ""
    for row in rows:
        if row.work != work:
            work = row.work
            y += 14
            parts.append(f'<text x="10" y="{y + 12}" font-weight="bold">{work}</text>')
            y += 20
        seconds = row.median("seconds")
        width = max(1, round(430 * seconds / longest))
        colour = "#1f6f8b" if row.contender.startswith("orlop") else "#b8c4c9"
        parts.append(
            f'<text x="210" y="{y + 12}" text-anchor="end">{row.contender}</text>'
            f'<rect x="220" y="{y}" width="{width}" height="16" fill="{colour}"/>'
            f'<text x="{226 + width}" y="{y + 12}">{seconds:.1f} s</text>'
        )
        y += 21
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="720" height="{y + 10}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f"{''.join(parts)}</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only",
        default="layout,registry,directories,next,small,copy,many,tags,containers,disks,unpack,"
        "run_containers",
        help="groups of rows, with commas between",
    )
    parser.add_argument(
        "--images", type=Path, help="where bench/make-images put its images, or shall put them"
    )
    parser.add_argument(
        "--chart",
        type=Path,
        default=HERE / "work/bench.svg",
        help="where the bar chart goes; the README's is docs/bench.svg",
    )
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("bench: must run as root, for the peers and the package trees")
    work = HERE / "work"
    work.mkdir(exist_ok=True)
    images = (arguments.images or work / "images").resolve()
    subprocess.run([sys.executable, HERE / "make-images", images, IMAGE, NEXT_IMAGE], check=True)
    wanted = arguments.only.split(",")
    with registry(work, images) as address:
        bench = Bench(work, images, address)
        rows = [row for group, row in bench.rows() if group in wanted]
        for number in range(arguments.rounds):
            for row in rows:
                print(f"round {number + 1}: {row.work}: {row.contender}", file=sys.stderr)
                row.run()
        for name in ("orlop", "umoci", "skopeo", "podman", "copy", "cp", "skopeo-copy"):
            bench.clean(name)
    if rows:
        print(table(rows))
    image = ["--image", str(images / IMAGE)]
    with_image = dict.fromkeys(("containers", "disks", "unpack", "run_containers"), image)
    scripts = {"many": [], "tags": [], **with_image}
    for script, options in scripts.items():
        if script in wanted:
            print(flush=True)
            command = [sys.executable, HERE / f"{script}.py", *options]
            subprocess.run(command, check=True, env=environment())
    left_out = {"what is there already", "layout to layout"}
    drawn = [row for row in rows if row.contender != "limit" and row.work not in left_out]
    if drawn:
        arguments.chart.write_text(chart(drawn))
        print(f"\ndrawn in {arguments.chart}")


if __name__ == "__main__":
    main()
