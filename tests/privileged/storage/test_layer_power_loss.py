"""What is left of layers when the power fails: what was unmounted is there, and nothing is half."""

import subprocess
import sys

import pytest

from orlop.storage.places import Places
from orlop.storage.storage import Storage
from support.marks import needs_root

pytestmark = needs_root

CUT = """
import fcntl, os, struct, sys
from pathlib import Path
from orlop.storage.places import Places
from orlop.storage.storage import Storage
from orlop.testing.storage.base import member, put
place, run, driver, write = sys.argv[1:]
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
storage = Storage.open(Places(Path(place) / "root", Path(run)), driver=driver)
base = put(storage, member("f", b"f" * 3_000_000), member("g", b"g" * 100))
layer = storage.layers.create(base.id, id="box")
with storage.layers.mount("box") as path:
    if write:
        (path / "new").write_bytes(b"n" * 100_000)
# What only has a name gets to the disk with the next transaction of the filesystem.
os.fsync(os.open(storage.places.layer("box"), os.O_RDONLY))
fcntl.ioctl(os.open(place, os.O_RDONLY), SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
os._exit(0)
"""


@pytest.mark.parametrize("write", ["", "write"])
@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_power_loss(tmp_path, driver, write):
    image, place, run = (tmp_path / each for each in ("image", "place", "run"))
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, place], check=True)
    try:
        words = [sys.executable, "-c", CUT, place, run, driver, write]
        subprocess.run(["unshare", "--mount", *words], check=True)
        subprocess.run(["umount", place], check=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
        with (
            Storage.open(Places(place / "root", run), driver=driver) as storage,
            storage.layers.mount("box", read_only=True) as path,
        ):
            found = {each.name: each.read_bytes() for each in path.iterdir()}
    finally:
        subprocess.run(["umount", place], check=True)
    expected = {"f": b"f" * 3_000_000, "g": b"g" * 100}
    assert found == (expected | {"new": b"n" * 100_000} if write else expected)
