#!/usr/bin/env python3
"""Boot a virtual machine from an image, or from disks, and run a command in it.

    microvm.py debian:12                                   the image's own command, root on ext4
    microvm.py debian:12 --form layers -- cat /etc/issue   a disk for each layer, under an overlay
    microvm.py --root ext4:root.img                        disks that are there already
    microvm.py --lower erofs:base.img --lower erofs:app.img --upper ext4:upper.img -- ls -l /

The words after `--` are for the shell of the image, as with ssh. This program ends as the command
does; Ctrl-A X switches the machine off.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import linux
import qemu
from qemu import Disk, Disks

FORMS = ("ext4", "erofs", "squashfs", "layers")


def make_disks(image, directory, form):
    """Turn an image of the store into disks.

    Args:
        image: Its name or ID.
        directory: Where the files go.
        form: `ext4` for one that can be written to, `erofs` or `squashfs` for one under an overlay
            in memory, `layers` for an EROFS of each layer under such an overlay.

    Everything that is known here about `orlop disk` is known in this function.
    """
    options = {
        "ext4": ["--fs", "ext4", "--size", "+256M"],
        "layers": ["--layers"],
    }.get(form, ["--fs", form])
    kind = "erofs" if form == "layers" else form
    told = _orlop("disk", image, "-o", directory / f"root.{kind}", "-q", *options)
    disks = tuple(Disk(path=Path(os.fsdecode(path)), kind=kind) for path in told.splitlines())
    if form == "ext4":
        return Disks(root=replace(disks[0], read_only=False))
    return Disks(lower=disks, upper="tmpfs")


def command_of(image):
    """What the image's config says to run, for a shell; None where it says nothing."""
    config = json.loads(_orlop("inspect", "--config", image)).get("config") or {}
    words = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
    if not words:
        return None
    settings = [f"export {shlex.quote(each)}" for each in config.get("Env") or []]
    place = shlex.quote(config.get("WorkingDir") or "/")
    return "; ".join([*settings, f"cd {place}", f"exec {shlex.join(words)}"])


def _orlop(*words):
    beside = Path(sys.executable).with_name("orlop")
    command = [str(beside if beside.exists() else "orlop"), *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def _disk(text):
    kind, separator, path = text.partition(":")
    if not separator or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not KIND:FILE")
    return Disk(path=Path(path), kind=kind)


def _writable(text):
    disk = _disk(text)
    return Disk(path=disk.path, kind=disk.kind, read_only=False)


def _upper(text):
    return text if text == "tmpfs" else _writable(text)


def parse_arguments(words):
    """The arguments, and the command after `--`, or None."""
    words, separator, command = _split(words)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", nargs="?", help="an image of orlop's store")
    parser.add_argument("--form", choices=FORMS, default="ext4", help="the disks to make of it")
    parser.add_argument("--root", type=_writable, metavar="KIND:FILE", help="a disk as the root")
    parser.add_argument(
        "--lower", type=_disk, action="append", default=[], metavar="KIND:FILE",
        help="disks under an overlay, the base first",
    )  # fmt: skip
    parser.add_argument(
        "--upper", type=_upper, default="tmpfs", metavar="tmpfs|KIND:FILE",
        help="where the overlay keeps what is written",
    )  # fmt: skip
    parser.add_argument("--kernel", help="a bzImage; what fetch-kernel fetched, or /boot's newest")
    parser.add_argument("--memory", default="512M")
    parser.add_argument("--accelerator", choices=("kvm", "tcg"), help="what works, if not given")
    parser.add_argument("--timeout", type=float, help="seconds until the machine is switched off")
    arguments = parser.parse_args(words)
    if sum([arguments.image is not None, arguments.root is not None, bool(arguments.lower)]) != 1:
        parser.error("give an image, or --root, or --lower")
    return arguments, " ".join(command) if separator else None


def _split(words):
    at = words.index("--") if "--" in words else len(words)
    return words[:at], words[at : at + 1], words[at + 1 :]


def _show(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def main(words):
    """Boot, and return the command's exit code."""
    arguments, command = parse_arguments(words)
    with tempfile.TemporaryDirectory(prefix="microvm-") as directory:
        if arguments.image is None:
            disks = Disks(root=arguments.root, lower=tuple(arguments.lower), upper=arguments.upper)
        else:
            disks = make_disks(arguments.image, Path(directory), arguments.form)
            disks = replace(disks, upper=arguments.upper if disks.lower else None)
            command = command or command_of(arguments.image)
        ended = qemu.boot(
            linux.find_linux(arguments.kernel),
            disks,
            command,
            timeout=arguments.timeout,
            memory=arguments.memory,
            accelerator=arguments.accelerator,
            echo=_show,
        )
    if ended.status is None:
        print(f"error: no exit code came back, in {ended.seconds:.1f} s", file=sys.stderr)
        return 1
    return ended.status


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
