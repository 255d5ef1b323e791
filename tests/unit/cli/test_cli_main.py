"""What all commands share: help, options, exit codes, and what goes where."""

import gc
import os
import re
import shlex
import signal
import subprocess
import sys

import pytest

import orlop
from orlop.cli.failure import interrupt_behind
from orlop.cli.main import main
from orlop.errors import InUseError

MAIN = "import sys; from orlop.cli.main import main; sys.exit(main())"
COMMANDS = ["pull", "images", "inspect", "rm", "ls", "cat", "mount", "umount", "gc", "df", "info"]
TAKES_NOTHING = {"images", "gc", "df", "info", "mount"}


def run(store, *arguments, **options):
    """Run a command in a process of its own, as a shell would."""
    command = [sys.executable, "-c", MAIN, *store.options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_a_bare_command_says_what_there_is(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "Usage: orlop" in out
    for command in COMMANDS:
        assert re.search(rf"^\W*{command}\s+\S", out, re.MULTILINE)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(capsys, option):
    assert main([option]) == 0
    out = capsys.readouterr().out
    assert "Container storage" in out
    assert "ORLOP_ROOT" in out
    assert all(command in out for command in COMMANDS)


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{orlop.__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(capsys, command):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Usage: orlop {command}" in out
    assert "\x1b" not in out


def test_the_page_of_a_command_says_more_than_the_list(capsys):
    assert main(["mount", "--help"]) == 0
    assert "The mount stays until `orlop umount`" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_option_is_wrong_usage(filled, command):
    arguments = [] if command in TAKES_NOTHING else ["box", "/etc"]
    done = filled.orlop(command, *arguments[: 1 if command == "inspect" else 2], "--no-such")
    done.check_failure(2, "--no-such")
    assert done.err.endswith(f"hint: see `orlop {command} --help`\n")


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - TAKES_NOTHING))
def test_a_missing_argument_is_wrong_usage(filled, command):
    done = filled.orlop(command)
    done.check_failure(2)
    assert done.err.endswith(f"hint: see `orlop {command} --help`\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["images", "--format", "xml"],
        ["images", "surplus"],
        ["pull", "x", "--jobs", "many"],
        ["pull", "x", "--driver", "zfs"],
        ["inspect", "box", "surplus"],
        ["mount", "box", ""],
        ["umount", ""],
        ["umount", "box", ""],
        ["--no-such"],
    ],
)
def test_wrong_usage(filled, arguments):
    done = filled.orlop(*arguments)
    done.check_failure(2)
    assert "hint: see `orlop" in done.err


def test_the_store_is_named_before_or_after_the_command(filled, capsys):
    assert main(["images", "-q", *filled.options]) == 0
    assert main([*filled.options, "images", "-q"]) == 0
    assert main(["images", *filled.options, "-q"]) == 0
    assert capsys.readouterr().out == f"{filled.id}\n" * 3


def test_the_store_is_named_by_the_environment(filled, capsys, monkeypatch):
    monkeypatch.setenv("ORLOP_ROOT", str(filled.root))
    monkeypatch.setenv("ORLOP_RUN", str(filled.run))
    assert main(["images", "-q"]) == 0
    assert main(["info", "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{filled.id}\n")
    assert f'"run": "{filled.run}"' in out


def test_an_option_goes_before_the_environment(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("ORLOP_ROOT", str(tmp_path / "other"))
    assert filled.orlop("images", "-q").out == f"{filled.id}\n"


@pytest.mark.parametrize(
    "arguments",
    [["images"], ["inspect", "box"], ["ls", "-l", "box"], ["df"], ["info"], ["gc"], ["mount"]],
)
def test_what_goes_into_a_pipe_is_data_alone(filled, arguments):
    done = run(filled, *arguments, env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"})
    assert done.returncode == 0
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert done.stdout


def test_errors_have_no_colour(filled):
    done = run(filled, "inspect", "missing", env={**os.environ, "NO_COLOR": "1"})
    assert (done.returncode, done.stdout) == (3, "")
    assert "\x1b" not in done.stderr


def test_a_pull_shows_no_bars_in_a_pipe(empty, layout):
    done = run(empty, "pull", layout.source, "--driver", "directory")
    assert done.stderr == "localhost/layout:box (linux/amd64)\n"


def test_errors_show_no_control_characters(filled):
    done = filled.orlop("inspect", "a\x1b[31mb\nc")
    done.check_failure(3, "no image is called")
    assert "\x1b" not in done.err


@pytest.mark.parametrize("arguments", [["cat", "box", "/binary", "/binary"], ["ls", "-R", "box"]])
def test_a_reader_that_has_seen_enough_is_no_error(filled, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", MAIN, *filled.options, *arguments]
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_no_room_for_the_output_is_an_error(filled):
    command = [sys.executable, "-c", MAIN, *filled.options, "cat", "box", "/binary"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["images"], ["inspect", "box"]])
def test_no_room_for_little_output_is_an_error(filled, arguments, unbuffered):
    command = [sys.executable, "-c", MAIN, *filled.options, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, check=False, text=True, env=environment
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "Exception ignored" not in done.stderr


STRANGER = """
import os, sys
from orlop.cli.main import main
os.environ.clear()
os.geteuid = os.getuid = lambda: 54321
sys.exit(main())
"""
"""The command for a user whom the machine does not know."""


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["images"], 3, "this user has no home directory"),
        (["--root", "/nowhere", "--run", "/nowhere", "df"], 3, "no store at /nowhere"),
    ],
)
def test_a_user_without_a_home(options, code, says):
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stderr.startswith(f"error: {says}\nhint: ")


def test_a_user_without_a_home_asks_registries_as_nobody(tmp_path):
    command = ["--root", tmp_path / "root", "--run", tmp_path / "run", "pull", "127.0.0.1:1/box"]
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "127.0.0.1:1" in done.stderr


INTERRUPT_WHILE_LOADING = """
import os, signal, sys

class Interrupter:
    def find_spec(self, name, *_):
        if name == "orlop.cli.quick":
            os.kill(os.getpid(), signal.SIGINT)

{before}
sys.meta_path.insert(0, Interrupter())
sys.argv[1:] = ["--version"]
from orlop.cli.entry import main
main()
"""


def interrupt_while_loading(before=""):
    program = INTERRUPT_WHILE_LOADING.format(before=before)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)


def test_ctrl_c_while_modules_load_ends_it_at_once():
    done = interrupt_while_loading()
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_ctrl_c_stays_ignored_where_whoever_started_it_has_it_so():
    done = interrupt_while_loading("signal.signal(signal.SIGINT, signal.SIG_IGN)")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode() == f"{orlop.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "closed", "code", "told"),
    [
        (["images"], ">&-", 1, "Bad file descriptor"),
        (["save", "box"], ">&-", 1, "Bad file descriptor"),
        (["load"], "<&-", 1, "is empty"),
        (["images", "-q"], "<&- 2>&-", 0, ""),
        (["inspect", "missing"], "2>&-", 3, ""),
        (["inspect", "missing"], "2>/dev/full", 3, ""),
    ],
)
def test_a_stream_that_is_closed_is_no_fault_of_the_program(filled, arguments, closed, code, told):
    command = shlex.join([sys.executable, "-c", MAIN, *filled.options, *arguments])
    done = subprocess.run(
        ["sh", "-c", f"{command} {closed}"], capture_output=True, check=False, text=True
    )
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_what_follows_from_an_interrupt_is_one():
    """Such as a mount that is in use by the process that is leaving it."""
    interrupt = KeyboardInterrupt()

    def leave():
        try:
            raise interrupt
        finally:
            raise InUseError("in use by this process")

    with pytest.raises(InUseError) as caught:
        leave()
    assert interrupt_behind(caught.value) is interrupt
    assert interrupt_behind(interrupt) is interrupt
    assert interrupt_behind(InUseError("in use by others")) is None


def test_an_interrupt_while_a_class_is_made_is_no_error_of_the_program(filled, monkeypatch, capfd):
    """Python 3.11 makes a RuntimeError of it."""

    class Interrupted:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    def make_class(*_, **__):
        type("Made", (), {"attribute": Interrupted()})

    monkeypatch.setattr("orlop.cli.images.print_table", make_class)
    assert main([*filled.options, "images"]) == 130
    assert capfd.readouterr().err == "interrupted\n"


def test_an_error_keeps_nothing_open(empty, layout):
    """A frame that has a second name for its error is a circle, which only a collection ends."""
    empty.pull(layout.source, "--tag", "box")
    database = empty.root / "orlop.db"
    database.write_bytes(database.read_bytes()[:4096] + b"damage" * 10_000)
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        assert main([*empty.options, "images"]) == 1
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()
