"""Root of a user namespace: it may mount, and has no other owners to give files to."""

import subprocess
import sys

import pytest

from support.images import ImageBuilder, device, directory, file

MAIN = "from orlop.cli.main import main; raise SystemExit(main())"
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def inside(tmp_path):
    """Run a shell script in a user namespace, in which `orlop` is the command."""
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this machine lets nobody make user namespaces")
    script = tmp_path / "orlop"
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "{MAIN}"'
        f' --root {tmp_path}/inner --run {tmp_path}/inner-run "$@"\n'
    )
    script.chmod(0o755)

    def run(text):
        command = [*UNSHARE, "sh", "-ec", f"PATH={tmp_path}:$PATH\n{text}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_the_main_job(inside, tmp_path):
    builder = ImageBuilder()
    builder.layer(
        directory("etc"), file("etc/passwd", b"x\n", uid=7, gid=8), file("gone"),
        device("null", 1, 3),
    )  # fmt: skip
    builder.layer(file(".wh.gone"))
    layout = builder.write(tmp_path / "namespaced", tag="box")
    (tmp_path / "target").mkdir()
    done = inside(
        f"orlop pull --quiet {layout.source} --tag box >/dev/null\n"
        f"orlop mount box {tmp_path}/target\n"
        f"cat {tmp_path}/target/etc/passwd\n"
        f"ls {tmp_path}/target\n"
        f"stat -c %u:%g {tmp_path}/target/etc/passwd\n"
        f"orlop umount {tmp_path}/target\n"
        f"ls {tmp_path}/target\n"
        "orlop ls -l box /etc | tr -s ' ' | cut -d' ' -f2\n"
        "orlop rm box\n"
        "orlop gc >/dev/null\n"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"{tmp_path}/target", "x", "etc", "0:0", "7:8", "docker.io/library/box:latest",
    ]  # fmt: skip
    assert list((tmp_path / "inner/chains/sha256").iterdir()) == []
