"""Programs from outside that unpack or make images, each in directories of its own."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


def run(*command, **options):
    """Run a program, and return what it prints; it must succeed.

    Peers give directories that no layer has an entry of what the umask allows.
    """
    words = list(map(str, command))
    options.setdefault("umask", 0o022)
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120, **options
    )
    said = done.stderr.decode(errors="backslashreplace")
    assert done.returncode == 0, f"{' '.join(words)}: {said}"
    return done.stdout.decode()


def umoci_unpack(layout, tag, target):
    """Unpack an image of a layout with umoci; the root directory, which must not be there yet."""
    run("umoci", "raw", "unpack", "--image", f"{layout}:{tag}", target)
    return Path(target)


@contextlib.contextmanager
def short_directory():
    """A directory with a short path: podman takes none of more than 50 characters to run in."""
    with tempfile.TemporaryDirectory(prefix="run-", ignore_cleanup_errors=True) as path:
        yield path


class ContainersStorage:
    """podman and buildah on a store of their own, whose mounts `close` takes away.

    Args:
        place: The directory of the store.
        driver: `overlay` or `vfs`.
    """

    def __init__(self, place, driver="overlay"):
        self._place = Path(place)
        self._place.mkdir(parents=True)
        self._run_root = contextlib.ExitStack()
        self._options = [
            f"--root={self._place}/root",
            f"--runroot={self._run_root.enter_context(short_directory())}",
            f"--storage-driver={driver}",
        ]

    def podman(self, *arguments):
        return self._run("podman", *arguments)

    def buildah(self, *arguments):
        return self._run("buildah", *arguments)

    def _run(self, tool, *arguments):
        environment = {**os.environ, "TMPDIR": str(self._place)}
        return run(tool, *self._options, *arguments, cwd=self._place, env=environment).strip()

    def mount(self, source):
        """Pull an image and mount it; its root directory."""
        return Path(self.podman("image", "mount", self.podman("pull", "-q", source)))

    def close(self):
        with self._run_root:
            self.podman("image", "umount", "--all", "--force")


@contextlib.contextmanager
def docker_registry(folder, **more):
    """Run Debian's docker-registry on a free port of the loopback interface; its address.

    Args:
        folder: Where it keeps what is pushed.
        more: Further sections of its configuration.
    """
    port = _free_port()
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "root")}},
        "http": {"addr": f"127.0.0.1:{port}"},
        **more,
    }
    (folder / "config.yml").write_text(json.dumps(config))
    process = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_open(port, process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_until_open(port, process):
    for _ in range(200):
        assert process.poll() is None, "docker-registry ended at once"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    pytest.fail("docker-registry does not listen")


@contextlib.contextmanager
def containerd(folder):
    """Run a containerd; what calls its client `ctr`.

    Args:
        folder: Where it keeps everything.
    """
    folder.mkdir()
    config = folder / "config.toml"
    config.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
    socket_path = folder / "socket"
    places = ["--root", folder / "root", "--state", folder / "state", "--address", socket_path]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["containerd", "--config", config, *places, "--log-level", "error"],
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for_containerd(server, socket_path)
        yield lambda *arguments: run("ctr", "--address", socket_path, *arguments)
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for_containerd(server, socket_path):
    command = ["ctr", "--address", str(socket_path), "--timeout", "5s", "version"]
    for _ in range(200):
        assert server.poll() is None, "containerd ended"
        if socket_path.exists():
            done = subprocess.run(command, capture_output=True, check=False)
            if done.returncode == 0:
                return
        time.sleep(0.05)
    pytest.fail("containerd does not answer")
