"""Containers that both runtimes run, through the API: what a container sees, and what is left."""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import orlop
from orlop.errors import (
    AlreadyExistsError,
    InUseError,
    InvalidError,
    LimitExceededError,
    NotFoundError,
    RuntimeFailedError,
    RunTimeoutError,
    UnsupportedError,
)
from orlop.idmap import IdMapping
from orlop.runtime import RunOptions, Volume
from support.runs import groups_of, mounts_below


def test_what_the_image_says_is_run(run, nothing):
    done = run()
    assert (done.exit_code, done.stdout, done.stderr, done.container) == (0, b"hello\n", b"", None)
    assert nothing()


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_codes_are_passed_on(run, code, nothing):
    assert run("sh", "-c", f"echo said >&2; exit {code}").exit_code == code
    assert nothing()


@pytest.mark.parametrize("number", [2, 9, 15])
def test_the_signal_that_ends_a_command_is_in_its_exit_code(run, number):
    assert run("sh", "-c", f"sh -c 'kill -{number} $$'; exit $?").exit_code == 128 + number


def test_the_outputs_are_kept_apart(run):
    done = run("sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_standard_input_is_empty_unless_something_is_said(run):
    assert run("cat").stdout == b""
    data = os.urandom(300_000)
    assert run("cat", input=data).stdout == data
    # One that reads nothing ends all the same.
    assert run("true", input=data).exit_code == 0


def test_standard_streams_are_files(run, tmp_path):
    (tmp_path / "in").write_bytes(b"from a file")
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
        run("sh", "-c", "cat; echo no >&2", stdin=source, stdout=target, stderr=None, capture=False)
    assert (tmp_path / "out").read_bytes() == b"from a file"


def test_too_much_output_is_refused(run, nothing, monkeypatch):
    monkeypatch.setattr("orlop.runtime.watch.MAX_CAPTURED", 1 << 20)
    with pytest.raises(LimitExceededError, match="MAX_CAPTURED"):
        run("yes")
    assert nothing()


def test_environment(shell):
    said = shell("env", env={"MINE": "a b=c", "FROM": "me"}).splitlines()
    assert {"MINE=a b=c", "FROM=me", "PATH=/bin", "HOME=/root"} <= set(said)


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("sailor", "uid=1000(sailor) gid=1001(crew) groups=1002(deck)"),
        ("1000", "uid=1000(sailor) gid=1001(crew)"),
        ("sailor:deck", "uid=1000(sailor) gid=1002(deck)"),
        ("4000:5000", "uid=4000 gid=5000"),
    ],
)
def test_users(shell, user, said):
    assert shell("id; touch /tmp/mine", user=user).partition("\n")[0].startswith(said)


def test_an_unknown_user(run, nothing):
    with pytest.raises(NotFoundError, match="pirate"):
        run(user="pirate")
    assert nothing()


def test_the_working_directory(shell):
    assert shell("pwd") == "/srv\n"
    assert shell("pwd", working_dir="/tmp") == "/tmp\n"


def test_the_entrypoint(run):
    assert run("there", entrypoint=("echo", "hi")).stdout == b"hi there\n"


def test_volumes(shell, run, tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/in").write_text("in\n")
    volume = Volume(source=str(tmp_path / "shared"), destination="/data")
    assert shell("cat /data/in; echo out > /data/out", volumes=[volume]) == "in\n"
    assert (tmp_path / "shared/out").read_text() == "out\n"
    text = f"{tmp_path}/shared:/data/deep:ro"
    assert run("sh", "-c", "touch /data/deep/x", volumes=[text]).exit_code == 1
    assert shell("cat /data/deep/in", volumes=[text]) == "in\n"
    assert shell("cat /etc/one", volumes=[f"{tmp_path}/shared/in:/etc/one:ro"]) == "in\n"


@pytest.mark.parametrize("volume", ["/srv", "/srv:/x:rx", ":/x", "/a:/b:ro:ro", "/tmp:relative"])
def test_volumes_that_are_none(run, volume, nothing):
    with pytest.raises(InvalidError):
        run(volumes=[volume])
    assert nothing()


def test_a_volume_that_is_not_there(run, tmp_path):
    with pytest.raises(NotFoundError, match="missing"):
        run(volumes=[f"{tmp_path}/missing:/x"])


def test_the_network(shell):
    names = "grep -c : /proc/net/dev"
    assert shell(names) == "1\n"
    assert "lo:" in shell("cat /proc/net/dev")
    with open("/proc/net/dev") as file:
        wanted = file.read().count(":")
    assert shell(names, network="host") == f"{wanted}\n"
    assert os.path.exists("/etc/resolv.conf")
    with open("/etc/resolv.conf") as file:
        assert shell("cat /etc/resolv.conf", network="host") == file.read()


def test_read_only(run, shell, tmp_path):
    assert run("touch", "/x", read_only=True).exit_code == 1
    (tmp_path / "shared").mkdir()
    shell("touch /data/x", read_only=True, volumes=[f"{tmp_path}/shared:/data"])


def test_limits(shell):
    memory = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max"
    assert shell(f"{memory} 2>/dev/null", memory="64M") == f"{64 << 20}\n"
    pids = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
    assert shell(pids, pids=50) == "50\n"
    quota = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || head -1 /sys/fs/cgroup/cpu.max"
    assert shell(quota, cpus=0.5).startswith("50000")


def test_any_number_of_processes(shell):
    pids = "cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max"
    assert shell(pids, pids=-1) == "max\n"


@pytest.mark.parametrize("options", [{}, {"timeout": 0.005}, {"timeout": 0.02}, {"timeout": 0.05}])
def test_no_control_group_is_left(run, store, nothing, options):
    made = store.containers.create("box")
    try:
        run("nonesuch", name=made.id, **options)
    except (RuntimeFailedError, RunTimeoutError):
        pass
    assert groups_of(made.id) == []
    store.containers.delete(made.id)
    assert nothing()


def test_processes_over_the_limit_are_refused(run):
    done = run("sh", "-c", "for n in 1 2 3 4 5 6 7 8 9; do sleep 3 & done; wait", pids=6)
    assert b"fork" in done.stderr


def test_the_hostname(shell, store, run):
    assert shell("hostname", hostname="ship") == "ship\n"
    done = run("hostname", rm=False)
    assert done.stdout.decode().strip() == done.container[:12]
    store.containers.delete(done.container)


def test_a_container_stays_and_runs_again(run, store):
    first = run("sh", "-c", "echo kept > /srv/note; mkdir /new", rm=False, name="box")
    assert [each.id for each in store.containers.list()] == [first.container]
    # Places to mount at are no changes.
    changed = {each.path for each in store.containers.changes(first.container)}
    assert changed == {b"new", b"srv", b"srv/note"}
    again = run("cat", "/srv/note", name=first.container)
    assert (again.stdout, again.container) == (b"kept\n", first.container)
    assert run(name=first.container[:9]).stdout == b"hello\n"
    store.containers.delete(first.container)


def test_a_container_with_a_name(store, runtime):
    options = RunOptions(runtime=runtime, name="ship", rm=False, capture=True)
    store.run_container("box", ["touch", "/srv/x"], options)
    with pytest.raises(AlreadyExistsError):
        store.run_container("box", (), options)
    with pytest.raises(InvalidError, match="names already"):
        store.run_container("ship", (), options)
    options = RunOptions(runtime=runtime, capture=True)
    assert store.run_container("ship", ["ls", "/srv"], options).stdout == b"x\n"
    # Asked to be removed, a container that was there before stays.
    assert [each.names for each in store.containers.list()] == [("ship",)]
    store.containers.delete("ship")


@pytest.fixture
def reachable():
    """A directory that everybody may enter, with all above it."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o711)
        yield Path(place)
        assert mounts_below(place) == []


def test_mapped_ids(reachable, runtime, layout):
    mapping = IdMapping.parse(["0:100000:65536"])
    script = "id -u; cat /proc/self/uid_map; touch /srv/mine"
    with orlop.open_store(reachable / "root", reachable / "run") as store:
        store.pull(layout.source, tag="box")
        made = store.containers.create("box", names=["mapped"], id_mapping=mapping)
        options = RunOptions(runtime=runtime, capture=True)
        done = store.run_container("mapped", ["sh", "-c", script], options)
        assert done.stdout.split() == [b"0", b"0", b"100000", b"65536"]
        upper = store.root / "layers" / made.layer / "diff"
        assert (upper / "srv/mine").stat().st_uid == 100000
        store.containers.delete("mapped")


def test_mapped_ids_that_cannot_get_there(store, runtime, tmp_path):
    store.containers.create("box", names=["mapped"], id_mapping=IdMapping.parse(["0:100000:9"]))
    tmp_path.chmod(0o700)
    with pytest.raises(UnsupportedError, match="cannot enter"):
        store.run_container("mapped", (), RunOptions(runtime=runtime))
    store.containers.delete("mapped")


def test_two_at_once(run, nothing):
    found = []
    work = [
        threading.Thread(target=lambda: found.append(run("sh", "-c", "sleep 0.3; echo $$")))
        for _ in range(4)
    ]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert [each.stdout for each in found] == [b"1\n"] * 4
    assert nothing()


def test_one_container_runs_once_at_a_time(run, store):
    made = store.containers.create("box")
    first = threading.Thread(target=lambda: run("sleep", "2", name=made.id))
    first.start()
    while not list(store.run.glob("containers/*/*/runtime/pid")):
        time.sleep(0.01)
    with pytest.raises(InUseError, match="running already"):
        run(name=made.id)
    first.join()
    assert run(name=made.id).exit_code == 0
    store.containers.delete(made.id)


def test_what_is_left_running_is_ended(run, nothing):
    start = time.monotonic()
    done = run("sh", "-c", "sleep 100 & echo begun")
    assert done.stdout == b"begun\n"
    assert time.monotonic() - start < 30
    assert nothing()


def test_a_timeout(run, nothing):
    start = time.monotonic()
    with pytest.raises(RunTimeoutError, match=r"not done in 0.5 s") as caught:
        run("sleep", "100", timeout=0.5)
    assert caught.value.timeout == 0.5
    assert time.monotonic() - start < 30
    assert nothing()


def test_a_missing_command(run, nothing):
    with pytest.raises(RuntimeFailedError, match="nonesuch") as caught:
        run("nonesuch")
    assert caught.value.exit_code == 127
    assert nothing()


def test_a_command_that_is_no_program(run, nothing):
    with pytest.raises(RuntimeFailedError, match=r"[Pp]ermission denied") as caught:
        run("/etc/passwd")
    assert caught.value.exit_code == 126
    assert nothing()


def test_no_such_image(run, nothing):
    with pytest.raises(NotFoundError, match="elsewhere"):
        run(name="elsewhere")
    assert nothing()


def test_a_terminal_that_is_none(run, nothing):
    with open(os.devnull) as null, pytest.raises(UnsupportedError, match="no terminal"):
        run(terminal=True, stdin=null, capture=False)
    assert nothing()


def test_one_text_is_not_taken_for_its_letters(store, nothing):
    with pytest.raises(TypeError, match="not one text"):
        store.run_container("box", "id")
    assert nothing()


def test_a_process_that_does_not_close_its_store_leaves_no_mount(command):
    script = f"""
import orlop
store = orlop.open_store({str(command.root)!r}, {str(command.run)!r})
assert store.run_container("box", ["true"]).exit_code == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert mounts_below(command.run) == []
