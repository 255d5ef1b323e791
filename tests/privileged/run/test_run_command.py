"""`orlop run`: streams, terminals, signals, and what is left when it is killed."""

import os
import pty
import re
import select
import signal
import subprocess
import tarfile
import termios
import time
from pathlib import Path

import pytest

from orlop.cli.main import main
from orlop.storage.stored.running import running
from support.runs import MAIN, groups_of, left_of

BUSYBOX = Path(__file__).parents[3] / "examples/busybox/busybox.tar"


@pytest.fixture
def words(command, runtime):
    """The words of a command that runs a container."""
    return lambda *more: [*MAIN, *command.options, "run", "--runtime", runtime, *more]


def ended(words, **options):
    return subprocess.run(words, capture_output=True, timeout=60, check=False, **options)


def test_hello(words, store, nothing):
    done = ended(words("--rm", "box"))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")
    assert nothing()


@pytest.mark.parametrize("name", ["a:b", "a b", "file:", "a#b\\c", "r\rn"])
def test_wherever_the_store_is(tmp_path, layout, runtime, name):
    """Runtimes have a language of their own for where their logs go."""
    where = ["--root", tmp_path / name / "root", "--run", tmp_path / name / "run"]
    subprocess.run([*MAIN, *where, "pull", "-q", layout.source, "--tag", "box"], check=True)
    done = ended([*MAIN, *where, "run", "--rm", "--runtime", runtime, "box"])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"")
    failed = ended([*MAIN, *where, "run", "--rm", "--runtime", runtime, "box", "nonesuch"])
    assert failed.returncode == 127
    assert b"nonesuch" in failed.stderr


def test_options(words, tmp_path, nothing):
    script = "echo $A; id -u; pwd; ls /data; hostname"
    options = [
        *("-e", "A=b", "-u", "sailor", "-w", "/tmp", "-v", f"{tmp_path}/in:/data:ro"),
        *("--hostname", "ship", "--network", "host", "--read-only", "--memory", "64M"),
        *("--cpus", "0.5", "--pids-limit", "20"),
    ]
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").touch()
    done = ended(words("--rm", *options, "box", "--", "sh", "-c", script))
    assert done.stdout == b"b\n1000\n/tmp\nfile\nship\n", done
    assert ended(words("--rm", "--entrypoint", "echo", "box", "one", "two")).stdout == b"one two\n"
    assert nothing()


def test_a_container_that_was_never_started_does_not_stay(words, nothing):
    for options in (["--entrypoint", ""], ["--user", "pirate"], ["-v", "/nonesuch:/x"]):
        assert ended(words("--name", "ship", *options, "box")).returncode == 125
        assert nothing()


def test_an_example(command, runtime):
    image = f"oci-archive:{BUSYBOX}"
    done = command.command("run", "--runtime", runtime, "--rm", "--quiet", image, "--", "uname")
    assert (done.code, done.out) == (0, "Linux\n"), done


def test_standard_input(words):
    assert ended(words("--rm", "-i", "box", "cat"), input=b"through").stdout == b"through"
    assert ended(words("--rm", "box", "cat"), input=b"through").stdout == b""


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["box", "--", "sh", "-c", "exit 42"], 42, ""),
        (["box", "nonesuch"], 127, "nonesuch"),
        (["box", "/etc/passwd"], 126, "ermission denied"),
        (["--user", "pirate", "box"], 125, "pirate"),
        (["--pull", "never", "nowhere"], 125, "nowhere"),
        (["--timeout", "0.3", "box", "sleep", "9"], 124, "not done in 0.3 s"),
        (["-v", "nothing", "box"], 125, "no volume"),
        (["-t", "box"], 125, "no terminal"),
        (["--timeout", "nan", "box"], 125, "no time"),
        (["--timeout", "inf", "box"], 125, "no time"),
        (["--timeout=-1", "box"], 125, "no time"),
        (["--timeout", "1e8", "box"], 0, ""),
        (["--hostname", "", "box"], 125, "hostname is empty"),
        (["--entrypoint", "", "box", "true"], 0, ""),
        (["--entrypoint", "", "box"], 125, "after the image"),
    ],
)
def test_exit_codes(words, nothing, args, code, says):
    done = ended(words("--rm", *args), stdin=subprocess.DEVNULL)
    assert done.returncode == code, done
    assert says in done.stderr.decode()
    assert nothing()


def test_no_such_runtime(command, nothing):
    done = command.command("run", "--runtime", "nonesuch", "--rm", "box")
    done.check_failure(125, "no OCI runtime 'nonesuch'")
    assert nothing()


def test_wrong_usage(capsys):
    assert main(["run", "-e", "=x", "box"]) == 2
    assert "no variable" in capsys.readouterr().err


def test_a_container_that_stays(words, store, command):
    assert ended(words("--name", "ship", "box", "touch", "/srv/x")).returncode == 0
    assert ended(words("ship", "ls", "/srv")).stdout == b"x\n"
    assert ended(words("--name", "ship", "box")).returncode == 125
    assert command.orlop("container", "rm", "ship").code == 0


def begun(process):
    """Wait until a container says that it has begun."""
    assert process.stdout.readline() == b"begun\n"
    return process


class Started(subprocess.Popen):
    """A process that is killed where the test fails, which would wait for it otherwise."""

    def __exit__(self, kind, error, traceback):
        if error is not None:
            self.kill()
        super().__exit__(kind, error, traceback)


def start(words, **options):
    """A run that has begun; it heeds signals that these tests may have been told to ignore."""
    return begun(
        Started(
            ["env", "--default-signal", *words], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )
    )  # fmt: skip


TRAP = "trap 'echo got {0}; exit 7' {0}; echo begun; while sleep 0.1; do :; done"


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_signals_are_passed_on(words, nothing, name):
    with start(words("--rm", "box", "--", "sh", "-c", TRAP.format(name))) as process:
        process.send_signal(getattr(signal, f"SIG{name}"))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (7, f"got {name}\n".encode(), b"")
    assert nothing()


@pytest.mark.parametrize("pause", [0.05, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5])
def test_a_signal_at_any_time(words, nothing, command, pause):
    """Before there is a container it ends the run, afterwards it is the container's.

    Which ignores it until its first process has a handler: so it is sent until it is heard.
    """
    deadline = time.monotonic() + 30
    with subprocess.Popen(
        words("--rm", "box", "--", "sh", "-c", TRAP.format("TERM")),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        time.sleep(pause)
        while process.poll() is None and time.monotonic() < deadline:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
    assert process.returncode in {7, 130, 143, -signal.SIGTERM}
    command.collect()
    assert nothing()


def test_killed(words, command, store, nothing):
    """The container ends at once; what is left of it goes with a collection."""
    script = "trap '' TERM INT; echo begun; while sleep 0.1; do :; done"
    with start(words("--rm", "box", "--", "sh", "-c", script)) as process:
        (container,) = store.containers.list()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout.read() == b""
    assert left_of(store) != ([], [], [])
    assert groups_of(container.id)
    command.collect()
    assert nothing()
    assert groups_of(container.id) == []


def test_killed_and_run_again(words, command, store):
    script = "echo kept > /srv/x; echo begun; while sleep 0.1; do :; done"
    with start(words("--name", "ship", "box", "--", "sh", "-c", script)) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert ended(words("ship", "cat", "/srv/x")).stdout == b"kept\n"
    command.collect()
    assert command.orlop("container", "rm", "ship").code == 0


@pytest.mark.parametrize("way", ["collect", "run", "changes", "diff", "commit"])
def test_places_to_mount_at_of_a_killed_run_are_no_changes(words, command, store, tmp_path, way):
    script = "mkdir /own; echo begun; while sleep 0.1; do :; done"
    volume = ("-v", f"{tmp_path}:/data/deep")
    with start(words("--name", "ship", *volume, "box", "--", "sh", "-c", script)) as process:
        process.kill()
    if way == "collect":
        command.collect()
    elif way == "run":
        assert ended(words("ship", "true")).returncode == 0
    elif way == "changes":
        assert command.orlop("container", "changes", "ship").out == "A /own\n"
    elif way == "diff":
        assert command.orlop("container", "diff", "ship", "-o", tmp_path / "tar").code == 0
        with tarfile.open(tmp_path / "tar") as tar:
            assert [each for each in tar.getnames() if each != "."] == ["own"]
    else:
        assert command.orlop("container", "commit", "ship", "mine:1").code == 0
        with store.image("mine:1").files() as files:
            assert b"own" in {name for name, _ in files.list(b"/")}
            assert b"data" not in {name for name, _ in files.list(b"/")}
        store.remove("mine:1")
    assert {each.path for each in store.containers.changes("ship")} == {b"own"}
    command.collect()
    store.containers.delete("ship")


@pytest.mark.parametrize("pause", [0.02, 0.05, 0.08, 0.1, 0.15, 0.2, 0.25])
def test_killed_while_it_starts(words, command, store, nothing, pause):
    with start(words("--name", "ship", "box", "--", "echo", "begun")) as process:
        process.communicate(timeout=30)
    (container,) = store.containers.list()
    with Started(words("ship", "sleep", "30"), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not list(store.run.glob("containers/*/*/runtime")) and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(pause)
        process.kill()
    command.collect()
    assert groups_of(container.id) == []
    store.containers.delete("ship", force=True)
    assert nothing()


def test_removed_after_it_was_killed(words, store, nothing):
    with start(words("box", "--", "sh", "-c", "echo begun; sleep 30")) as process:
        (container,) = store.containers.list()
        process.kill()
    assert groups_of(container.id)
    store.containers.delete(container.id, force=True)
    assert groups_of(container.id) == []
    assert nothing()


def test_what_runs_is_not_removed(words, command, store, nothing):
    with start(words("--rm", "-i", "box", "--", "sh", "-c", "echo begun; sleep 1")) as process:
        (container,) = store.containers.list()
        done = command.orlop("container", "rm", "--force", container.id)
        assert done.code == 5
        assert "is running" in done.err
        process.communicate(timeout=30)
    assert process.returncode == 0
    assert groups_of(container.id) == []
    assert nothing()


def test_a_collection_leaves_what_runs(words, command, nothing):
    script = "echo begun; sleep 1.5; echo done"
    with start(words("--rm", "box", "--", "sh", "-c", script)) as process:
        command.collect()
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, b"done\n")
    assert nothing()


class Terminal:
    """A terminal with a command in its foreground."""

    def __init__(self, words):
        self.master, other = pty.openpty()
        termios.tcsetwinsize(other, (33, 77))
        self._process = subprocess.Popen(
            ["env", "--default-signal", "setsid", "-c", "-w", *words],
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self.said = b""

    def expect(self, pattern, timeout=30):
        """Read until the pattern comes; its match."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.said)):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, self.said
            try:
                data = os.read(self.master, 4096)
            except OSError:
                data = b""
            assert data, self.said
            self.said += data
        self.said = self.said[found.end() :]
        return found

    def type(self, text):
        os.write(self.master, text)

    def wait(self):
        try:
            while os.read(self.master, 4096):
                pass
        except OSError:
            pass  # Nobody has the other end any more.
        return self._process.wait(timeout=30)

    def close(self):
        """Hang up: whatever runs there ends."""
        os.close(self.master)
        self.master = -1
        self._process.wait(timeout=30)


@pytest.fixture
def terminal():
    """Starts a command in a terminal."""
    opened = []

    def terminal(words):
        opened.append(Terminal(words))
        return opened[-1]

    yield terminal
    for each in opened:
        if each.master >= 0:
            each.close()


def test_a_terminal(words, terminal, nothing):
    shown = terminal(words("--rm", "-i", "-t", "box", "sh"))
    shown.expect(rb"# ")
    during = termios.tcgetattr(shown.master)
    shown.type(b"tty; stty size\n")
    shown.expect(rb"/dev/(pts/0|console)")
    shown.expect(rb"33 77")
    termios.tcsetwinsize(shown.master, (44, 55))
    time.sleep(0.3)
    shown.type(b"stty size\n")
    shown.expect(rb"44 55")
    # Ctrl-C is for the command in the container, not for orlop.
    shown.type(b"sleep 100\n")
    time.sleep(0.3)
    shown.type(b"\x03")
    shown.type(b"echo s$((1 + 1))till\n")
    shown.expect(rb"s2till")
    assert not during[3] & termios.ECHO
    shown.type(b"exit 9\n")
    assert shown.wait() == 9
    assert nothing()


def test_a_terminal_that_hangs_up(words, terminal, store, nothing):
    """Whoever has lost its terminal does not stay, and neither does its container."""
    shown = terminal(
        words("--rm", "-i", "-t", "box", "--", "sh", "-c", "trap '' HUP; echo on; cat")
    )
    shown.expect(rb"on")
    shown.close()
    deadline = time.monotonic() + 20
    while store.containers.list() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert nothing()


def test_the_terminal_is_as_it_was(words, terminal):
    shell = "; ".join(
        [
            "stty -a > before",
            " ".join(f"'{each}'" for each in words("--rm", "-it", "box", "tty")),
            "stty -a > after; cmp before after && echo same",
        ]
    )
    shown = terminal(["sh", "-c", f"cd /tmp; T=$(mktemp -d); cd $T; {shell}; rm -r $T"])
    shown.expect(rb"same")
    assert shown.wait() == 0


def test_ctrl_c_without_a_terminal_inside(words, terminal, nothing):
    """All in the foreground get it from the kernel; the container gets it once."""
    script = "trap 'echo got; N=$((N + 1))' INT; echo begun; for n in 1 2 3 4 5 6 7 8 9; do"
    script += " sleep 0.2; done; echo $N times; exit 5"
    shown = terminal(words("--rm", "-i", "box", "--", "sh", "-c", script))
    shown.expect(rb"begun")
    shown.type(b"\x03")
    shown.expect(rb"got")
    shown.expect(rb"1 times")
    assert shown.wait() == 5
    assert nothing()


@pytest.mark.parametrize(
    ("options", "args", "where"),
    [
        ([], ["echo", b"\xff"], b"$.process.args[1]"),
        (["-e", b"A=\xff"], [], b"$.process.env["),
        (["-w", b"/\xff"], [], b"$.process.cwd"),
        (["-v", b"./\xff:/data"], [], b"$.mounts["),
        (["-v", b"/tmp:/\xff"], [], b"$.mounts["),
        (["--hostname", b"\xff"], [], b""),
        (["-u", b"\xff"], [], b""),
    ],
)
def test_words_that_are_not_utf8(words, tmp_path, nothing, options, args, where):
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    done = ended(words("--rm", *options, "box", "--", *args), cwd=tmp_path)
    assert done.returncode == 125, done
    assert done.stderr.startswith(b"error: "), done
    assert where in done.stderr
    assert b"Traceback" not in done.stderr
    assert nothing()


def test_what_cannot_be_cleared_is_looked_at_all_the_same(words, command, store):
    with start(words("--name", "ship", "box", "--", "sh", "-c", "echo begun; sleep 30")) as process:
        process.kill()
    (state,) = store.run.glob("containers/*/*/runtime")
    subprocess.run(["mount", "--bind", store.run, store.run], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", store.run], check=True)
    try:
        done = command.orlop("container", "changes", "ship")
        assert (done.code, done.err) == (0, "")
        assert state.exists()
    finally:
        subprocess.run(["umount", store.run], check=True)
    assert command.orlop("container", "changes", "ship").code == 0
    assert not state.exists()
    store.containers.delete("ship")


@pytest.mark.parametrize("noted", [b"5", b"null", b'["/a\\u0000b", 7]', b"[" * 100_000])
def test_notes_of_places_that_are_none(words, command, store, noted):
    with start(words("--name", "ship", "box", "--", "sh", "-c", "echo begun; sleep 30")) as process:
        process.kill()
    (state,) = store.run.glob("containers/*/*/runtime")
    (state / "targets").write_bytes(noted)
    done = command.orlop("container", "changes", "ship")
    assert (done.code, done.err) == (0, "")
    store.containers.delete("ship")


def test_a_look_does_not_keep_a_run_from_beginning(words, command, store):
    ended(words("--name", "ship", "box", "--", "true"))
    (container,) = store.containers.list()
    directory = store.containers.run_directory(container.id)
    with running(directory, container.id):
        process = subprocess.Popen(words("ship", "echo", "here"), stdout=subprocess.PIPE)
        time.sleep(0.2)
    assert process.communicate(timeout=30) == (b"here\n", None)
    store.containers.delete("ship")


def test_a_word_that_is_a_container_and_an_image_is_refused(words, command, store):
    done = ended(words("--name", "box", "box", "--", "touch", "/x"))
    assert done.returncode == 125
    assert b"would be a container as well" in done.stderr
    assert ended(words("--name", "ship", "box", "--", "touch", "/x")).returncode == 0
    store.containers.add_names("ship", ["box"])
    done = ended(words("--rm", "box", "--", "ls", "/x"))
    assert done.returncode == 125
    assert b"is container" in done.stderr
    (container,) = store.containers.list()
    assert ended(words(container.id, "ls", "/x")).stdout == b"/x\n"
    store.containers.delete(container.id)


def test_a_directory_is_no_program(words, runtime, nothing):
    assert ended(words("--rm", "box", "--", "/etc")).returncode == 126
    assert nothing()
