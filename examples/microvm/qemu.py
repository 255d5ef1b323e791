"""A machine in QEMU that boots a kernel, an initramfs and disks, and says how its command ended."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import initramfs

QEMU = "qemu-system-x86_64"
MACHINE = "q35"
"""QEMU's own `microvm` takes as long, and Debian's 6.1 hangs in it: always without PCI, and with it
in one boot of twenty."""
MAX_DISKS = 26
"""Their names are vda to vdz, and each has a slot of the only PCI bus."""
KVM_SECONDS = 5
"""A kernel says something in less than one, where KVM works."""
COMMAND_LINE_SIZE = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A file that the machine has as a disk.

    Attributes:
        path: The file.
        kind: The filesystem on it, as `mount -t` calls it.
        read_only: Whether the machine cannot write to it.
    """

    path: Path
    kind: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Disks:
    """What the root of the machine is made of: `root`, or `lower` and maybe `upper`.

    Attributes:
        root: The disk that is the root, read-write; then the others do not count.
        lower: Those under an overlay, the base first.
        upper: `tmpfs` or a disk, for what is written over `lower`; None for nothing.
    """

    root: Disk | None = None
    lower: tuple[Disk, ...] = ()
    upper: Disk | str | None = None

    @property
    def all(self):
        """The disks, in the order of their names in the machine: vda, vdb…"""
        if self.root is not None:
            return [self.root]
        return [each for each in (*self.lower, self.upper) if isinstance(each, Disk)]

    def parameters(self):
        """What `init` has to know about them, as words of the kernel's command line."""
        names = {id(disk): f"{disk.kind}:vd{chr(97 + n)}" for n, disk in enumerate(self.all)}
        if self.root is not None:
            return [f"orlop.root={names[id(self.root)]}"]
        words = ["orlop.lower=" + ",".join(names[id(disk)] for disk in self.lower)]
        if self.upper is not None:
            words.append(f"orlop.upper={names.get(id(self.upper), self.upper)}")
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a machine ended.

    Attributes:
        console: All that it wrote to its console.
        seconds: How long it ran.
        timed_out: Whether it was killed for taking too long.
    """

    console: bytes
    seconds: float
    timed_out: bool

    @property
    def lines(self):
        """What the command printed, line by line."""
        found = re.search(rb"(?ms)^orlop: running\n(.*)\n^orlop: exit ", self._text)
        return found[1].splitlines() if found else []

    @property
    def status(self):
        """The command's exit code; None where it did not come to that."""
        found = re.findall(rb"(?m)^orlop: exit (\d+)$", self._text)
        return int(found[-1]) if found else None

    @property
    def complaints(self):
        """Errors of the kernel, and mounts that could not be taken away."""
        return re.findall(rb"(?m)^orlop: (?:kernel|still mounted): .*$", self._text)

    @property
    def stopped(self):
        """Whether the machine came to its end, with all unmounted that could be."""
        return re.search(rb"(?m)^orlop: stopped$", self._text) is not None

    @property
    def _text(self):
        return self.console.replace(b"\r", b"")


def boot(linux, disks, command=None, *, timeout=None, memory="512M", accelerator=None, echo=None):
    """Boot a machine, run a command in its root, and wait for its end.

    Args:
        linux: The kernel.
        disks: What the root is made of.
        command: For the `/bin/sh` of the root; that itself where None.
        timeout: Seconds until it is killed.
        accelerator: `kvm` or `tcg`; what works where None.
        echo: Called with what it writes, as it comes; then it reads this process's input, too.

    Raises:
        ValueError: More disks than the machine can have, or too long a command.
    """
    accelerator = accelerator or find_accelerator(linux)
    words = ["quiet", *disks.parameters()]
    if command is not None:
        words.append("orlop.run=" + quote(command, safe="/:,=+-_.~"))
    with tempfile.NamedTemporaryFile(suffix=".cpio") as file:
        file.write(initramfs.build(linux))
        file.flush()
        return _run(
            [
                *_machine(linux, accelerator, memory, words),
                *("-initrd", file.name),
                *_drives(disks.all),
            ],
            timeout,
            echo,
        )  # fmt: skip


@functools.cache
def find_accelerator(linux):
    """`kvm` where it runs this kernel, else `tcg`.

    That `/dev/kvm` is there and can be opened says little: on some machines a guest then hangs. So
    it is tried, with a kernel that has no root and reboots at once.
    """
    if not Path("/dev/kvm").exists():
        return "tcg"
    ended = _run(_machine(linux, "kvm", "512M", []), KVM_SECONDS, None)
    return "kvm" if b"Linux version" in ended.console and not ended.timed_out else "tcg"


def _machine(linux, accelerator, memory, words):
    line = " ".join(["console=ttyS0 reboot=t panic=-1", *words])
    if len(line) >= COMMAND_LINE_SIZE:
        raise ValueError(f"the kernel takes {COMMAND_LINE_SIZE} bytes, not {len(line)}: {line}")
    return [
        QEMU, "-M", MACHINE, "-accel", accelerator, "-m", memory,
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", str(linux.path), "-append", line,
    ]  # fmt: skip


def _drives(disks):
    if len(disks) > MAX_DISKS:
        raise ValueError(f"the machine can have {MAX_DISKS} disks, not {len(disks)}")
    for number, disk in enumerate(disks):
        path = str(disk.path).replace(",", ",,")
        access = "readonly=on" if disk.read_only else "readonly=off"
        yield from ("-drive", f"id=disk{number},file={path},format=raw,if=none,{access}")
        yield from ("-device", f"virtio-blk-pci,drive=disk{number},addr={number + 1:#x}")


def _run(command, timeout, echo):
    if shutil.which(QEMU) is None:
        raise FileNotFoundError(f"{QEMU} is not installed: Debian's package is qemu-system-x86")
    started = time.monotonic()
    # The machine ends with this process, however that ends.
    tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    process = subprocess.Popen(
        [*tied, *command, "-serial", "mon:stdio" if echo else "stdio"],
        stdin=None if echo else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    late = threading.Event()

    def end():
        late.set()
        process.kill()

    timer = threading.Timer(timeout, end) if timeout else None
    console = bytearray()
    try:
        if timer:
            timer.start()
        while data := process.stdout.read1(65536):
            console += data
            if echo:
                echo(data)
        process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        if timer:
            timer.cancel()
            timer.join()
    return Ended(
        console=bytes(console), seconds=time.monotonic() - started, timed_out=late.is_set()
    )
