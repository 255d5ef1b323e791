"""Virtual machines that boot from disks, by what `examples/microvm` boots them with."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from support.marks import needs_tools

sys.path.append(str(Path(__file__).parents[2] / "examples/microvm"))

import linux
import qemu
from initramfs import busybox
from qemu import Disk, Disks

__all__ = ["Disk", "Disks", "boot", "busybox", "needs_machine"]


def _linux():
    try:
        return linux.find_linux()
    except FileNotFoundError:
        return None


LINUX = _linux()
needs_machine = [
    *needs_tools(qemu.QEMU),
    pytest.mark.skipif(LINUX is None, reason="no Linux to boot: examples/microvm/fetch-kernel"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the machines are for x86-64"),
]
"""The marks of a test that boots machines."""


def boot(disks, command, timeout=120):
    """Run a command in a machine; the lines that it printed, and its exit code.

    The machine has come to its end, it could unmount everything, and its kernel had no errors.

    Args:
        disks: What its root is made of.
        command: For the `/bin/sh` of the root.
        timeout: Seconds for all of it.
    """
    ended = qemu.boot(LINUX, disks, command, timeout=timeout)
    console = ended.console.decode(errors="backslashreplace")
    assert not ended.timed_out, f"not done in {timeout} s; the console says:\n{console}"
    assert ended.stopped, f"it stopped early; the console says:\n{console}"
    assert ended.complaints == [], f"the kernel complains; the console says:\n{console}"
    assert ended.status is not None, f"there is no exit code; the console says:\n{console}"
    return ended.lines, ended.status
