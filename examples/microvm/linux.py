"""The kernel that the machine boots: where it is, and the modules that it needs.

What a module needs is read from the module itself: `modules.dep` is there only where a kernel has
been installed, and this one may have been fetched and no more.
"""

from __future__ import annotations

import glob
import gzip
import lzma
import os
import re
from dataclasses import dataclass
from pathlib import Path

KERNELS = ("/var/cache/orlop/kernel/boot/vmlinuz-*", "/boot/vmlinuz-*")
"""Where `fetch-kernel` puts one, and where Debian installs them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linux:
    """A kernel and its modules.

    Attributes:
        path: The bzImage.
        modules: The directory `lib/modules/RELEASE`.
    """

    path: Path
    modules: Path

    def module_files(self, names):
        """The files of these modules and of what they need, in the order to load them.

        What is built into the kernel has none.

        Raises:
            FileNotFoundError: The kernel has no such module.
        """
        files = {_name(path): path for path in self.modules.glob("kernel/**/*.ko*")}
        built_in = {
            _name(Path(line)) for line in (self.modules / "modules.builtin").read_text().split()
        }
        ordered = {}

        def add(name, needed_by):
            if name in ordered or name in built_in:
                return
            if name not in files:
                raise FileNotFoundError(f"{self.modules}: no module {name}, for {needed_by}")
            for each in needs(read_module(files[name])):
                add(each, name)
            ordered[name] = files[name]

        for name in names:
            add(name, "the machine")
        if "libcrc32c" in ordered and "crc32c_generic" in files:
            # It asks the kernel for the algorithm, which would ask modprobe.
            ordered = {"crc32c_generic": files["crc32c_generic"], **ordered}
        return list(ordered.values())


def find_linux(path=None):
    """A kernel with its modules, of the machine or in the directory of `fetch-kernel`.

    Args:
        path: The bzImage; its modules are in `../lib/modules` or in `/lib/modules`. None takes the
            newest that can be read.

    Raises:
        FileNotFoundError: There is none.
    """
    if path is not None:
        return _linux_at(Path(path))
    for pattern in KERNELS:
        for found in sorted(glob.glob(pattern), key=_version, reverse=True):
            if os.access(found, os.R_OK):
                return _linux_at(Path(found))
    raise FileNotFoundError(f"no kernel: neither {' nor '.join(KERNELS)}; see fetch-kernel")


def _version(path):
    return [int(number) for number in re.findall(r"\d+", path)]


def _linux_at(path):
    release = read_release(path)
    places = [path.absolute().parent.parent / "lib/modules", Path("/lib/modules")]
    for place in places:
        if (place / release / "modules.builtin").exists():
            return Linux(path=path, modules=place / release)
    raise FileNotFoundError(f"{path}: no modules of {release} in {places[0]} or {places[1]}")


def read_release(path):
    """The release that a bzImage says it is.

    Spec: Linux, Documentation/arch/x86/boot.rst, "kernel_version" at 0x20e.
    """
    with open(path, "rb") as file:
        start = file.read(64 << 10)
    if start[0x202:0x206] != b"HdrS":
        raise ValueError(f"{path} is no bzImage")
    at = int.from_bytes(start[0x20E:0x210], "little") + 0x200
    return start[at : at + 256].split(b"\0")[0].split(b" ")[0].decode()


def read_module(path):
    """A module, decompressed; newer Debians have them compressed."""
    data = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(data)
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        try:
            from compression import zstd
        except ImportError:
            from backports import zstd
        return zstd.decompress(data)
    return data


def needs(module):
    """The names of the modules that a module says it cannot be loaded without."""
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    names = found[1].decode().split(",") if found else []
    return [name.replace("-", "_") for name in names if name]


def _name(path):
    return path.name.partition(".ko")[0].replace("-", "_")
