"""The contract of storage drivers for processes that are not root of the machine.

`test_storage_drivers.py` starts each of these classes where it belongs: as a user without
privilege, or as root of a user namespace.
"""

from orlop.testing.storage import StorageContract


class Inside(StorageContract):
    many_layers = 12
    seeds = range(100, 104)
    others = ()


class TestVfs(Inside):
    driver = "vfs"


class TestOverlay(Inside):
    driver = "overlay"
    others = ("vfs",)
