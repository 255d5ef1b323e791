"""Time containers that run `true`: by a runtime alone, through orlop, and by podman.

    python bench/run_containers.py [--image bench/work/images/debian-dev] [--rounds 20]

The runtime alone runs a bundle that lies ready, on the image as orlop mounts it, started as orlop
starts it. The API and the command make a container of the image, run it and remove it. All take
turns, and each figure is a median of milliseconds. Before each comes a pause: for some time after a
container the kernel takes its namespaces apart, and what starts meanwhile takes up to 10 ms less.
With an image of bench/make-images, its own programs are run, too. Needs root and crun or runc;
podman, where it is there.
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
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import orlop
from orlop.bundle import OverlayBundler
from orlop.runtime import RUNTIMES, RunOptions, Streams, find_runtime, run_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from orlop.store import Store

COMMAND = str(Path(sys.executable).with_name("orlop"))
BUSYBOX = Path(__file__).resolve().parents[1] / "examples/busybox/busybox.tar"
IMAGE = "localhost/image:latest"
TOOLS = (("python3", "-c", "print(6 * 7)"), ("gcc", "--version"), ("git", "--version"))
API, ALONE = 15, 120
"""Milliseconds that are to be held: the API over the runtime, the command over the runtime."""
PAUSE = 0.1
"""Seconds before each step."""


def steps(store: Store, runtime: str, stack: ExitStack, place: Path) -> dict[str, Callable]:
    """What is measured of one runtime."""
    from orlop.bundle.options import args

    bundle = stack.enter_context(OverlayBundler(store).bundle(IMAGE, runtime, args("true")))
    found, state = find_runtime(runtime), place / f"state-{runtime}"
    nothing = Streams(stdin=None)
    where = ["--root", str(store.root), "--run", str(store.run)]
    command = [COMMAND, *where, "run", "--rm", "--runtime", runtime, IMAGE, "true"]
    options = RunOptions(runtime=runtime)

    def alone() -> None:
        run_bundle(found, bundle.path, bundle.id, state=state, streams=nothing)

    return {
        f"{runtime}": alone,
        f"{runtime}, orlop's API": lambda: store.run_container(IMAGE, ["true"], options),
        f"{runtime}, orlop run": lambda: start(command),
    }


def podman(place: Path, archive: str) -> dict[str, Callable]:
    """Podman on a store of its own; nothing where it is not there, or cannot run here."""
    if shutil.which("podman") is None:
        return {}
    base = ["podman", f"--root={place}/podman", f"--runroot={place}/podman-run"]
    base += ["--storage-driver=overlay", "--cgroup-manager=cgroupfs"]
    pulled = subprocess.run([*base, "pull", "-q", archive], capture_output=True, check=True)
    run = [*base, "--runtime", "runc", "run", "--rm", "--network", "none"]
    run += ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]
    command = [*run, pulled.stdout.decode().strip(), "true"]
    tried = subprocess.run(command, capture_output=True, check=False)
    if tried.returncode:
        print(f"podman cannot run here: {tried.stderr.decode()[-300:]}", file=sys.stderr)
        return {}
    return {"podman run (runc)": lambda: start(command)}


def start(command: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, stdin=subprocess.DEVNULL, env=environment, check=True)


def measure(found: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    for step in found.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, step in found.items():
            time.sleep(PAUSE)
            begun = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - begun) * 1000)
    return times


def tell(times: dict[str, list[float]], runtimes: list[str]) -> None:
    for name, values in times.items():
        print(f"{name:28}{statistics.median(values):9.1f} ms")
    for runtime in runtimes:
        for way, most in (("orlop's API", API), ("orlop run", ALONE)):
            pairs = zip(times[f"{runtime}, {way}"], times[runtime], strict=True)
            more = statistics.median(ours - alone for ours, alone in pairs)
            print(f"{runtime}, {way} adds {more:.1f} ms (to hold: {most})")


def use_tools(store: Store, runtimes: list[str]) -> None:
    """The image's own programs do their work."""
    for runtime in runtimes:
        for tool in TOOLS:
            options = RunOptions(runtime=runtime, capture=True)
            begun = time.perf_counter()
            done = store.run_container(IMAGE, tool, options)
            took = (time.perf_counter() - begun) * 1000
            assert done.exit_code == 0, done
            said = (done.stdout or b"").decode().partition("\n")[0]
            print(f"{runtime}: {tool[0]} says {said!r} in {took:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    image = arguments.image
    source = f"oci-archive:{BUSYBOX}" if image is None else f"oci:{image}:latest"
    runtimes = [each for each in RUNTIMES if shutil.which(each)]
    work = Path(__file__).parent / "work"
    work.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as temporary, ExitStack() as stack:
        place = Path(temporary)
        store = stack.enter_context(orlop.open_store(place / "root", place / "run"))
        store.pull(source, tag=IMAGE)
        found: dict[str, Callable] = {}
        for runtime in runtimes:
            found.update(steps(store, runtime, stack, place))
        found.update(podman(place, source))
        os.sync()  # gigabytes were just written, which nobody is to wait for below
        tell(measure(found, arguments.rounds), runtimes)
        if image is not None:
            use_tools(store, runtimes)


if __name__ == "__main__":
    main()
