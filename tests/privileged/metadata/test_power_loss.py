"""What a store has acknowledged is there after the power fails, on real filesystems.

A filesystem on a loop device is shut down without its log being flushed, at some moment of a
writer's work: what had not reached the disk by then is lost, as by a cut.
"""

import os
import shutil
import subprocess
import sys

import pytest

CUT = """
import fcntl, os, struct, subprocess, sys, time
from orlop.content import LocalContent
from orlop.errors import OrlopError
from orlop.metadata import *
from orlop.metadata.content import LeasedContent
from orlop.metadata.gc import collect

image, place, work = sys.argv[1:4]
delays = [float(delay) for delay in sys.argv[4:]]
root = place + "/root"
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2

def store_blobs(pipe):
    content = LocalContent(root)
    while True:
        with content.ingest("r") as ingest:
            ingest.write(os.urandom(20_000))
            os.write(pipe, f"- {ingest.commit()}\\n".encode())

def store_images(pipe):
    database, content = Database.open(root + "/orlop.db"), LocalContent(root)
    for step in range(10**9):
        with Lease(database) as lease:
            leased = LeasedContent(content, database, lease)
            layer = leased.put(os.urandom(20_000))
            document = leased.put(b"document %d" % time.time_ns(), children=[layer])
            with database.write() as tx:
                Images(tx).put(ImageRow(name=str(step % 3), target="{}", target_digest=document,
                    image_id=document, size=1, created_at_ns=1, updated_at_ns=step))
            os.write(pipe, f"{step % 3} {document}\\n".encode())
        if step % 4 == 3:
            collect(database, content)

def cut_after(delay):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            globals()[work](write)
        except (OSError, OrlopError):
            os._exit(7)
    os.close(write)
    time.sleep(delay)
    fd = os.open(place, os.O_RDONLY)
    fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    os.close(fd)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7, "nothing was cut"
    with open(read) as lines:
        return [tuple(line.split()) for line in lines]

def mount():
    subprocess.run(["mount", "-o", "loop", image, place], check=True)

def check_blobs(acknowledged):
    content = LocalContent(root)
    stored = set(content.iter_digests())
    assert {digest for _, digest in acknowledged} <= stored
    for digest in stored:
        assert len(content.read(digest, 20_000)) == 20_000

def check_images(acknowledged):
    content = LocalContent(root)
    with Database.open(root + "/orlop.db") as database:
        with database.read() as tx:
            assert tx.row("PRAGMA integrity_check") == ("ok",)
            images = {image.name: image.target_digest for image in Images(tx).list()}
            recorded = {record.digest: record.size for record in Blobs(tx).list()}
            named = set(images.values())
            named |= {child for target in images.values() for child in Blobs(tx).children(target)}
        assert {name for name, _ in acknowledged} <= images.keys()
        for digest, size in recorded.items():
            assert len(content.read(digest, size)) == size
        assert named <= recorded.keys()
        collect(database, content)
        assert set(content.iter_digests()) == named

acknowledged = []
for delay in delays:
    mount()
    os.makedirs(root, exist_ok=True)
    os.sync()
    acknowledged += cut_after(delay)
    subprocess.run(["umount", place], check=True)
    mount()
    if work == "store_blobs":
        check_blobs(acknowledged)
    elif acknowledged or os.path.exists(root + "/orlop.db"):
        check_images(acknowledged)
    subprocess.run(["umount", place], check=True)
print(len(acknowledged))
"""


@pytest.mark.privileged
@pytest.mark.parametrize("work", ["store_blobs", "store_images"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_power_loss(tmp_path, kind, work):
    """Every record's bytes, and every blob and image that was acknowledged, outlive a cut."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount")
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"mkfs.{kind} is not installed")
    image, place = tmp_path / "image", tmp_path / "place"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(320 << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True)
    delays = [f"{0.01 + number * 0.037:.3f}" for number in range(6)]
    command = ["unshare", "-m", sys.executable, "-c", CUT, str(image), str(place)]
    done = subprocess.run([*command, work, *delays], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0, "nothing was acknowledged before the cuts"
