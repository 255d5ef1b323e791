"""`orlop-storage` as one file: it runs from nothing, and trusts no cache of others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.marks import needs_root

BUILD = Path(__file__).parents[3] / "packaging" / "build_binary.py"


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    target = tmp_path_factory.mktemp("dist") / "orlop-storage"
    subprocess.run([sys.executable, str(BUILD), str(target)], check=True, capture_output=True)
    return target


@pytest.fixture
def command(binary, tmp_path):
    """Runs it with a cache of its own and no other environment."""

    def run(*words, **environment):
        return subprocess.run(
            [str(binary), "-g", f"{tmp_path}/g", "-R", f"{tmp_path}/r", "-s", "vfs", *words],
            env={"XDG_CACHE_HOME": str(tmp_path / "cache"), **environment},
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    return run


def unpacked(tmp_path):
    (place,) = (tmp_path / "cache" / "orlop-storage").iterdir()
    return place


def test_it_unpacks_once_and_runs_without_an_environment(command, tmp_path):
    made = command("create-layer", "-i", "one")
    assert (made.returncode, made.stdout, made.stderr) == (0, "one\n", "")
    place = unpacked(tmp_path)
    assert place.stat().st_mode & 0o777 == 0o700
    before = place.stat().st_ctime_ns
    assert command("exists", "one").stdout == "one: true\n"
    assert place.stat().st_ctime_ns == before
    assert command("exists", "two").returncode == 1


def test_it_takes_nothing_from_the_environment_of_python(command, tmp_path):
    (tmp_path / "orlop").mkdir()
    (tmp_path / "orlop" / "__init__.py").write_text("raise SystemExit('not this one')")
    assert command("layers", PYTHONPATH=str(tmp_path)).returncode == 0


def test_what_others_may_change_is_refused(command, tmp_path):
    assert command("layers").returncode == 0
    unpacked(tmp_path).chmod(0o777)
    done = command("layers")
    assert (done.returncode, "others may enter" in done.stderr) == (1, True)


@pytest.mark.parametrize("depth", [0, 1])
@needs_root[0]
@needs_root[1]
def test_what_belongs_to_somebody_else_is_refused(command, tmp_path, depth):
    assert command("layers").returncode == 0
    place = unpacked(tmp_path)
    os.chown((place, place.parent)[depth], 12345, 12345)
    done = command("layers")
    assert (done.returncode, "belongs to user 12345" in done.stderr) == (1, True)


def test_a_link_is_no_cache(command, tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "orlop-storage").symlink_to(tmp_path / "elsewhere")
    done = command("layers")
    assert (done.returncode, "is no directory" in done.stderr) == (1, True)


def test_many_that_begin_together_unpack_it_once(binary, tmp_path):
    words = [str(binary), "-g", f"{tmp_path}/g", "-R", f"{tmp_path}/r", "-s", "vfs", "layers"]
    environment = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    running = [subprocess.Popen(words, env=environment) for _ in range(4)]
    assert [each.wait(timeout=60) for each in running] == [0] * 4
    assert unpacked(tmp_path).name.isalnum()


def test_a_python_that_is_not_there_is_passed_over(command):
    assert command("layers", ORLOP_PYTHON="/nothing/python").returncode == 0
