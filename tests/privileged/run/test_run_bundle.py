"""Bundles that were made by hand, and runtimes that fail."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from orlop.errors import RuntimeFailedError, RuntimeNotFoundError
from orlop.runtime import Streams, find_runtime, run_bundle
from support.machine import busybox


@pytest.fixture
def bundle(tmp_path):
    """Makes a bundle that runs a command."""
    place = tmp_path / "bundle"
    for name in ("bin", "dev", "proc"):
        (place / "rootfs" / name).mkdir(parents=True)
    program = place / "rootfs/bin/busybox"
    program.write_bytes(busybox())
    program.chmod(0o755)
    for name in ("sh", "echo", "sleep", "cat"):
        (place / "rootfs/bin" / name).symlink_to("busybox")

    def bundle(*args):
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": 0, "gid": 0},
                "args": args,
                "env": ["PATH=/bin"],
                "cwd": "/",
            },
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            ],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
        }
        (place / "config.json").write_text(json.dumps(config))
        return place

    return bundle


@pytest.fixture
def run(tmp_path, runtime):
    def run(bundle, **options):
        options = {"streams": Streams(stdin=None, capture=True), **options}
        return run_bundle(
            find_runtime(runtime), bundle, "by-hand", state=tmp_path / "state", **options
        )

    return run


def test_a_bundle(run, bundle, tmp_path):
    done = run(bundle("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert (done.exit_code, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert os.listdir(tmp_path / "state/root") == []


def test_a_bundle_that_is_none(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeFailedError, match=r"config\.json") as caught:
        run(tmp_path / "empty")
    assert caught.value.exit_code == 125


def test_the_runtime_sees_no_other_processes(run, bundle):
    """It is the first process of its PID namespace, in which the container's is another."""
    place = bundle("sh", "-c", "exit 0")
    config = json.loads((place / "config.json").read_text())
    config["linux"]["namespaces"] = [{"type": "mount"}]
    config["process"]["args"] = ["cat", "/proc/1/comm"]
    (place / "config.json").write_text(json.dumps(config))
    assert run(place).stdout.decode().strip() in {"crun", "runc", "3", "runc:[2:INIT]"}


def test_the_versions(runtime):
    found = find_runtime(runtime)
    assert found.name == runtime
    assert found.version.text[0].isdigit()
    assert found.version.spec.startswith("1.")
    assert found.features is None or "ociVersionMin" in found.features


def test_no_runtime(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(RuntimeNotFoundError, match="neither crun nor runc") as caught:
        find_runtime()
    assert "install the package crun or runc" in caught.value.hint
    with pytest.raises(RuntimeNotFoundError, match="'other'"):
        find_runtime("other")


def script(tmp_path, text):
    path = tmp_path / "fake-runtime"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_runtime_that_fails_with_words(tmp_path, bundle):
    runtime = find_runtime(script(tmp_path, "echo it is all wrong >&2; exit 1"))
    with pytest.raises(RuntimeFailedError, match="it is all wrong") as caught:
        run_bundle(
            runtime, bundle("echo"), "x", state=tmp_path / "state",
            streams=Streams(stdin=None, capture=True),
        )  # fmt: skip
    assert (caught.value.status, caught.value.exit_code) == (1, 125)


def test_a_runtime_that_cannot_be_executed(tmp_path, bundle):
    path = tmp_path / "broken"
    path.write_bytes(b"\x7fELF nothing")
    path.chmod(0o755)
    with pytest.raises(OSError, match="execve"):
        run_bundle(find_runtime(path), bundle("echo"), "x", state=tmp_path / "state")


def test_who_waits_for_it_ends_and_with_it_the_container(tmp_path, bundle, runtime):
    """Whatever ends the process, the kernel ends the container."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from orlop.runtime import find_runtime, run_bundle\n"
        "runtime, bundle, state = sys.argv[1:]\n"
        "run_bundle(find_runtime(runtime), Path(bundle), 'x', state=Path(state))\n"
    )
    place = bundle("sh", "-c", "trap '' TERM INT HUP; echo begun; while sleep 1; do :; done")
    started = subprocess.Popen(
        [sys.executable, "-c", code, runtime, str(place), str(tmp_path / "state")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    with started:
        assert started.stdout.readline() == b"begun\n"
        root = os.stat(place / "rootfs")
        inside = [pid for pid in pids() if is_rooted(pid, root)]
        assert inside
        started.send_signal(signal.SIGKILL)
        started.wait()
        # The end of the pipe: nobody is left that has it.
        assert started.stdout.read() == b""
    deadline = time.monotonic() + 10
    while any(is_rooted(pid, root) for pid in inside) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(is_rooted(pid, root) for pid in inside)
    assert os.listdir(tmp_path / "state/root") == ["x"]
    from orlop.runtime.bundle import remove_state

    remove_state(find_runtime(runtime), tmp_path / "state", "x")
    assert os.listdir(tmp_path / "state/root") == []
    shutil.rmtree(tmp_path / "state")


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def is_rooted(pid, root):
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/root"), root)
    except OSError:
        return False
