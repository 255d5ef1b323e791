"""What runtimes say when a command was not started, and what that means."""

import json

import pytest

from orlop.runtime import find_runtime
from orlop.runtime.said import failure_of

RUNC = 'runc run failed: unable to start container process: exec: "{}": {}'


@pytest.fixture
def failure(tmp_path):
    """The error of a runtime that ended so."""

    def failure(status, *records, started=False, stderr=None):
        lines = [json.dumps(each) if isinstance(each, dict) else each for each in records]
        (tmp_path / "log").write_text("\n".join(lines))
        if started:
            (tmp_path / "pid").write_text("7")
        return failure_of(find_runtime("/bin/sh"), tmp_path, status, stderr)

    return failure


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (RUNC.format("x", "executable file not found in $PATH"), 127),
        (RUNC.format("/x", "stat /x: no such file or directory"), 127),
        ("executable file `x` not found in $PATH: No such file or directory", 127),
        ("open executable: No such file or directory", 127),
        (RUNC.format("/etc/passwd", "permission denied"), 126),
        ("open executable: Permission denied", 126),
        ("exec format error", 126),
        ("error mounting proc: operation not permitted", 125),
        ("", 125),
    ],
)
def test_the_exit_code_that_an_error_stands_for(failure, said, code):
    found = failure(1, {"level": "error", "msg": said})
    assert (found.exit_code, found.status, found.said) == (code, 1, said)
    assert bool(found.hint) == (code != 125)


def test_a_command_that_was_started_has_its_own_exit_code(failure):
    assert failure(3, started=True) is None
    assert failure(1, {"level": "warning", "msg": "odd"}, started=True) is None
    assert failure(137, {"level": "error", "msg": "cannot clean up"}, started=True) is None


def test_the_last_error_counts(failure):
    records = [{"level": "error", "msg": "first"}, {"level": "error", "msg": "last"}]
    assert failure(1, *records, {"level": "info", "msg": "end"}).said == "last"
    assert failure(1, "plain words").said == "plain words"
    assert failure(1, stderr=b"on the\nstandard error").said == "on the standard error"


def test_no_log_at_all(tmp_path):
    found = failure_of(find_runtime("/bin/sh"), tmp_path, -9, None)
    assert "could not start the container (ended by signal 9)" in str(found)
