import os
import re
import shutil
import subprocess
import sys

import pytest

from orlop._sys.process import (
    CAP_SYS_ADMIN,
    boot_id,
    command_line,
    has_capability,
    in_initial_user_namespace,
    is_alive,
    kernel_version,
    mount_namespace,
    process_start,
)


def test_the_kernel_has_two_numbers():
    assert ".".join(map(str, kernel_version())) == re.match(r"\d+\.\d+", os.uname().release)[0]


def test_this_boot_has_a_name():
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", boot_id())


def test_a_child_shares_the_mount_namespace():
    code = "from orlop._sys.process import mount_namespace; print(mount_namespace())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert int(done.stdout) == mount_namespace()


def start(program):
    """A process that runs the program, which copies its input, and not still this one."""
    child = subprocess.Popen(
        [program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    child.stdin.write(b"x")
    assert child.stdout.read(1) == b"x"
    return child


def test_a_process_is_told_from_a_later_one_with_its_pid():
    child = start("cat")
    try:
        began = process_start(child.pid)
        assert began >= process_start(os.getpid())
        assert is_alive(child.pid, began)
        assert not is_alive(child.pid, began + 1)
        assert command_line(child.pid) == "cat -"
    finally:
        child.communicate()
    assert process_start(child.pid) is None
    assert not is_alive(child.pid, began)
    assert command_line(child.pid) == ""


def test_a_command_with_parentheses_and_spaces(tmp_path):
    program = tmp_path / "a) b (c"
    shutil.copy(shutil.which("cat"), program)
    child = start(program)
    try:
        assert process_start(child.pid) >= process_start(os.getpid())
        assert command_line(child.pid) == f"{program} -"
    finally:
        child.communicate()


@pytest.mark.skipif(not in_initial_user_namespace(), reason="other users are not mapped here")
def test_capabilities_are_those_of_the_effective_set():
    code = (
        "import os\n"
        "from orlop._sys.process import CAP_SYS_ADMIN, has_capability\n"
        "os.setresuid(*[os.getuid() or 65534] * 3)\n"
        "print(has_capability(CAP_SYS_ADMIN))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"
    if os.geteuid() != 0:
        assert not has_capability(CAP_SYS_ADMIN)
