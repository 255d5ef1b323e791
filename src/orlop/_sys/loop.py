"""Loop devices: block devices whose content is a file, for kernels that mount no plain files.

Every device made here is read-only and clears itself: it ends when its last user, a mount or the
descriptor returned, is gone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from typing import Final

from orlop._sys.handle import Fd, failure

BLOCK_SIZE: Final = 512
"""Bytes; an EROFS image of 512-byte blocks cannot be read through larger sectors."""
MAX_ATTEMPTS: Final = 64
"""How often a free device may be snatched away by somebody else before that is an error."""

_LOOP_SET_FD: Final = 0x4C00
_LOOP_CLR_FD: Final = 0x4C01
_LOOP_SET_STATUS64: Final = 0x4C04
_LOOP_SET_BLOCK_SIZE: Final = 0x4C09
_LOOP_CONFIGURE: Final = 0x4C0A
_LOOP_CTL_GET_FREE: Final = 0x4C82
_LO_FLAGS_READ_ONLY: Final = 1
_LO_FLAGS_AUTOCLEAR: Final = 4

# struct loop_info64: device, inode, rdevice, offset, sizelimit; number, encrypt type, key size,
# flags; file name, crypt name, key; init[2]
_LOOP_INFO64: Final = struct.Struct("=5Q4I64s64s32s2Q")
_LOOP_CONFIG: Final = struct.Struct("=II232s64x")  # fd, block_size, info


class LoopDevice:
    """A loop device that lives at least until `close`; whoever mounts it keeps it longer.

    Attributes:
        path: The device node, such as `/dev/loop3`.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: str, fd: Fd) -> None:
        self.path = path
        self._fd = fd

    def close(self) -> None:
        """Let the device go once nobody else uses it."""
        self._fd.close()


def attach_loop(file: int, name: bytes = b"") -> LoopDevice:
    """Make a read-only loop device that shows an open file.

    Args:
        file: Descriptor open for reading.
        name: What `losetup` shows as the file's name; cut at 63 bytes.

    Raises:
        OSError: There are no loop devices here, or no right to use them.
    """
    control = Fd(os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC))
    with control:
        for attempt in range(MAX_ATTEMPTS):
            device = _attach_free(control.fileno(), file, name)
            if device is not None:
                return device
            time.sleep(0.001 * min(attempt, 20))
    raise failure("LOOP_CONFIGURE", errno.EBUSY, "/dev/loop-control", "no free device stayed free")


def _attach_free(control: int, file: int, name: bytes) -> LoopDevice | None:
    """Configure the device that is free now; None when somebody else was faster."""
    path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
    fd = Fd(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    try:
        _configure(fd.fileno(), file, name)
    except OSError as error:
        fd.close()
        if error.errno == errno.EBUSY:
            return None
        raise failure("LOOP_CONFIGURE", error.errno or errno.EIO, path) from None
    return LoopDevice(path, fd)


def _configure(device: int, file: int, name: bytes) -> None:
    info = loop_info(name)
    try:
        fcntl.ioctl(device, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(file, BLOCK_SIZE, info))
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTTY}:
            raise
        configure_in_steps(device, file, info)


def configure_in_steps(device: int, file: int, info: bytes) -> None:
    """Configure a device as kernels before 5.8 want it: file, status and block size in turn."""
    fcntl.ioctl(device, _LOOP_SET_FD, file)
    try:
        fcntl.ioctl(device, _LOOP_SET_STATUS64, info)
        fcntl.ioctl(device, _LOOP_SET_BLOCK_SIZE, BLOCK_SIZE)
    except OSError:
        fcntl.ioctl(device, _LOOP_CLR_FD, 0)
        raise


def loop_info(name: bytes) -> bytes:
    """Encode a `struct loop_info64` that asks for a read-only device that clears itself."""
    flags = _LO_FLAGS_READ_ONLY | _LO_FLAGS_AUTOCLEAR
    return _LOOP_INFO64.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, name[:63], b"", b"", 0, 0)
