"""What a disk is to be like: what is refused, and what makes other bytes."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from orlop.digest import Digest
from orlop.disks import DiskOptions

UUID = bytes(range(1, 17))

REFUSED = [
    ({"fs": "btrfs"}, "'btrfs' is none of erofs, ext4, squashfs"),
    ({"layout": "both"}, "'both' is none of merged, layers and indexed"),
    ({"size": 1 << 30}, "erofs has no size: ext4 has"),
    ({"fs": "squashfs", "free": 1}, "squashfs has no free: ext4 has"),
    ({"journal": False}, "erofs has no journal: ext4 has"),
    ({"fs": "squashfs", "label": "x"}, "squashfs has no label: ext4 has"),
    ({"time": 1}, "erofs has no time: ext4 and squashfs have"),
    ({"fs": "squashfs", "compress": "zstd", "level": 1}, "squashfs has no level: erofs has"),
    ({"fs": "squashfs", "compress": "zstd", "extent": 8192}, "squashfs has no extent: erofs has"),
    ({"fs": "ext4", "share": False}, "ext4 has no share: erofs has"),
    ({"fs": "ext4", "verity": True}, "ext4 has no verity: erofs and squashfs have"),
    ({"compress": "gzip"}, "erofs is compressed with lz4, zstd, not with gzip"),
    ({"fs": "ext4", "compress": "lz4"}, "ext4 is compressed with nothing, not with lz4"),
    ({"fs": "squashfs", "compress": "lzo"}, "with gzip, lz4, xz, zstd, not with lzo"),
    ({"level": 1}, "level and extent are those of a compression"),
    ({"extent": 8192}, "level and extent are those of a compression"),
    ({"compress": "lz4", "level": 13}, "lz4 has levels 0 to 12, not 13"),
    ({"compress": "lz4", "level": -1}, "lz4 has levels 0 to 12, not -1"),
    ({"compress": "zstd", "level": 0}, "zstd has levels 1 to 19, not 0"),
    ({"compress": "zstd", "extent": 4096}, r"an extent has 2\*\*n bytes, 8192 to 1048576"),
    ({"compress": "zstd", "extent": 10_000}, "and not 10000"),
    ({"compress": "zstd", "extent": 2 << 20}, "and not 2097152"),
    ({"fs": "ext4", "layout": "layers"}, "ext4 disks are written to: layers are erofs or squashfs"),
    ({"fs": "ext4", "layout": "indexed"}, "indexed is erofs, neither compressed"),
    ({"layout": "indexed", "compress": "lz4"}, "indexed is erofs, neither compressed"),
    ({"layout": "indexed", "verity": True}, "nor with a hash tree"),
    ({"beside": True}, "what is beside a disk is its hash tree, and it has none"),
    ({"layout": "indexed", "block_size": 4096}, "indexed has blocks of 512 bytes"),
    ({"max_disks": 2}, "limit of disks"),
    ({"layout": "layers", "max_disks": 0}, "limit of disks"),
    ({"block_size": 256}, r"erofs has blocks of 2\*\*n bytes, 512 to 4096, and not 256"),
    ({"block_size": 8192}, "and not 8192"),
    ({"block_size": 1000}, "and not 1000"),
    ({"block_size": 0}, "and not 0"),
    ({"fs": "ext4", "block_size": 1024}, "ext4 has blocks of"),
    ({"fs": "squashfs", "block_size": 2 << 20}, "squashfs has blocks of .*4096 to 1048576"),
    ({"uuid": b"short"}, "a UUID has 16 bytes, not all of them zero"),
    ({"uuid": bytes(16)}, "not all of them zero"),
    ({"fs": "ext4", "label": "x" * 17}, "a label has up to 16 bytes"),
    ({"fs": "ext4", "label": "ä" * 9}, "a label has up to 16 bytes"),
    ({"fs": "ext4", "label": "a\0b"}, "none is NUL"),
    ({"fs": "ext4", "label": "\udcff"}, "surrogates not allowed"),
    ({"fs": "ext4", "free": -1}, "a size of 4096 bytes or more, or free space of 0 or more"),
    ({"fs": "ext4", "size": 4095}, "a size of 4096 bytes or more"),
    ({"fs": "ext4", "size": 0}, "a size of 4096 bytes or more"),
    ({"fs": "ext4", "size": 1 << 30, "free": 1}, "a size of 4096 bytes or more, or free"),
    ({"fs": "ext4", "time": -1}, "ext4 has times from 0 to 15032385535 seconds"),
    ({"fs": "ext4", "time": 1 << 34}, "ext4 has times from 0 to 15032385535 seconds"),
    ({"fs": "squashfs", "time": 1 << 32}, "squashfs has times from 0 to 4294967295 seconds"),
    ({"salt": b"x"}, "a salt of up to 256 bytes is that of a hash tree"),
    ({"verity": True, "salt": bytes(257)}, "a salt of up to 256 bytes"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED, ids=str)
def test_what_does_not_fit_together_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        DiskOptions(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"fs": "ext4", "label": "x" * 16, "size": 4096, "time": 0},
        {"fs": "ext4", "free": 0, "journal": False},
        {"fs": "squashfs", "compress": "xz", "block_size": 1 << 20, "time": (1 << 32) - 1},
        {"compress": "zstd", "level": 19, "extent": 1 << 20},
        {"layout": "layers", "max_disks": 1, "verity": True, "salt": bytes(256)},
        {"layout": "indexed", "block_size": 512},
    ],
    ids=str,
)
def test_what_is_at_its_limit_is_taken(options):
    DiskOptions(**options)


def test_an_unknown_name_is_a_mistake_of_the_caller():
    with pytest.raises(TypeError, match="unexpected keyword argument 'blocksize'"):
        DiskOptions(blocksize=512)
    with pytest.raises(TypeError):
        DiskOptions("erofs")


VARIANTS = [
    DiskOptions(),
    DiskOptions(fs="ext4"),
    DiskOptions(fs="ext4", size=1 << 30),
    DiskOptions(fs="ext4", free=1 << 30),
    DiskOptions(fs="ext4", journal=False),
    DiskOptions(fs="ext4", label="a"),
    DiskOptions(fs="ext4", time=1),
    DiskOptions(fs="squashfs"),
    DiskOptions(fs="squashfs", compress="xz"),
    DiskOptions(fs="squashfs", time=1),
    DiskOptions(compress="lz4"),
    DiskOptions(compress="lz4", level=1),
    DiskOptions(compress="lz4", extent=8192),
    DiskOptions(compress="zstd"),
    DiskOptions(block_size=512),
    DiskOptions(share=False),
    DiskOptions(verity=True),
    DiskOptions(verity=True, salt=b"a"),
    DiskOptions(uuid=UUID),
]


def test_options_that_make_other_bytes_have_other_keys_and_uuids():
    assert len({options.key() for options in VARIANTS}) == len(VARIANTS)
    what = Digest.of(b"what is shown")
    uuids = [options.uuid_for(what) for options in VARIANTS]
    assert len(set(uuids)) == len(VARIANTS)
    assert uuids[-1] == UUID
    for uuid in uuids[:-1]:
        assert (uuid[6] >> 4, uuid[8] >> 6) == (8, 2), "version 8 of RFC 9562"


def test_the_layout_is_in_the_uuid_and_not_in_the_key():
    merged, layers = DiskOptions(), DiskOptions(layout="layers", max_disks=3)
    what = Digest.of(b"what is shown")
    assert merged.key() == layers.key()
    assert merged.uuid_for(what) != layers.uuid_for(what)
    assert merged.uuid_for(what) != merged.uuid_for(Digest.of(b"something else"))


def test_keys_and_uuids_are_those_of_every_process():
    code = (
        "import json; from orlop.digest import Digest; from orlop.disks import DiskOptions;"
        "o = DiskOptions(fs='ext4', label='x', time=5);"
        "print(json.dumps([o.key(), o.uuid_for(Digest.of(b'w')).hex()]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    options = DiskOptions(fs="ext4", label="x", time=5)
    assert json.loads(run.stdout) == [options.key(), options.uuid_for(Digest.of(b"w")).hex()]


def test_bytes_of_a_block():
    assert DiskOptions().bytes_of_block == 4096
    assert DiskOptions(fs="squashfs").bytes_of_block == 131_072
    assert replace(DiskOptions(), block_size=512).bytes_of_block == 512


def test_who_wants_options_loads_no_more():
    code = "import sys; from orlop.disks import DiskOptions; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    names = {name for name in loaded.decode().split() if name.startswith("orlop.")}
    assert names <= {"orlop._late", "orlop.disks", "orlop.disks.options"}
