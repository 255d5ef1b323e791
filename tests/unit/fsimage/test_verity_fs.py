from hashlib import sha256

import pytest

from orlop.fsimage.verity import FsVerityHasher, fs_verity_digest

DATA = b"".join(sha256(b"%d" % number).digest() * 128 for number in range(300))
SHA512 = {"algorithm": "sha512", "block_size": 1024, "salt": bytes.fromhex("0011223344")}


@pytest.mark.parametrize(
    ("data", "options", "digest"),
    [
        # As `fsverity digest` 1.5 says.
        (b"", {}, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"),
        (b"hello\n", {}, "9c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa"),
        (DATA, {}, "d1ebcd03ba4ed203f8e90843d3e3e1a5a6fe4aa22d9b56478a93df25fa017b0c"),
        (
            b"", {"salt": b"\x00\xff"},
            "c2a2e14647334393906dab2fcdb7d96e787652326041d405e708b84fb73dfc2b",
        ),
        (
            DATA, {"salt": b"\x00\xff"},
            "57afffea60d0dce70dc21f90a486b3068bdc026171de455f00290d5d569c8e46",
        ),
        (
            b"hello\n", SHA512,
            ("159704fd5cde5f5e96fc206f4f4da8a8a3eecadf01ed94e0aedb3fdb10d56fcb"
            "6fdf605c6951ffba6cfaf33b3135cb6d82d2eb2696c8954010b480fe45aa9024"),
        ),
        (
            DATA, SHA512,
            ("fecd9285df7aa39f06bd3623d50ad49dfd1e00e837169a01aba1811f8ba13eff"
            "d370412c02917dbef23ca3b2b5996721f728e62ece08f95e9443dff017aafb97"),
        ),
    ],
)  # fmt: skip
def test_digests_are_those_of_the_fsverity_tool(data, options, digest):
    assert fs_verity_digest([data], **options).hex() == digest
    pieces = [data[start : start + 777] for start in range(0, len(data), 777)]
    assert fs_verity_digest(pieces, **options).hex() == digest


def test_asking_for_the_digest_ends_nothing():
    hasher = FsVerityHasher()
    for start in range(0, len(DATA), 10_000):
        assert hasher.digest() == fs_verity_digest([DATA[:start]])
        hasher.write(DATA[start : start + 10_000])
    assert hasher.digest() == fs_verity_digest([DATA])


def test_a_terabyte_of_zeros_takes_no_memory():
    hasher = FsVerityHasher(block_size=65_536)
    hasher.skip(10**12)
    hasher.digest()
    assert sum(map(len, hasher._levels)) < 65_536 * len(hasher._levels) < 65_536 * 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": "md5"}, {"block_size": 512}, {"block_size": 131_072}, {"block_size": 5000},
        {"salt": bytes(33)},
    ],
)  # fmt: skip
def test_other_options_are_refused(wrong):
    with pytest.raises(ValueError):
        FsVerityHasher(**wrong)
