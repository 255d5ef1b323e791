import os
import random
import re
from uuid import UUID

import pytest

from orlop.fsimage.output import StreamOutput
from orlop.fsimage.verity import (
    DmVerityHasher,
    DmVerityOptions,
    DmVerityOutput,
    fs_verity_digest,
    read_dm_verity,
    verify_dm_verity,
)
from support.marks import needs_tools
from support.peers import run

pytestmark = needs_tools("veritysetup", "fsverity")


def random_options(seed, **more):
    choice = random.Random(seed)
    return DmVerityOptions(
        uuid=choice.randbytes(16),
        salt=choice.randbytes(choice.choice([0, 1, 32, 64, 255, 256])),
        algorithm=choice.choice(["sha256", "sha512"]),
        data_block_size=choice.choice([512, 1024, 2048, 4096]),
        hash_block_size=choice.choice([512, 1024, 2048, 4096]),
        **more,
    )


def data_of(seed, options):
    choice = random.Random(seed)
    blocks = choice.choice([1, 2, 7, 8, 9, 64, 128, 129, choice.randint(1, 3000)])
    noise = choice.randbytes(options.data_block_size * blocks // 2)
    return noise + bytes(options.data_block_size * blocks - len(noise))


def arguments(options):
    return [
        "--format=1", f"--hash={options.algorithm}", f"--salt={options.salt.hex() or '-'}",
        f"--data-block-size={options.data_block_size}",
        f"--hash-block-size={options.hash_block_size}",
    ]  # fmt: skip


def reader(path):
    data = path.read_bytes()
    return lambda offset, size: data[offset : offset + size]


def write_tree(path, data, options):
    hasher = DmVerityHasher(options)
    hasher.write(data)
    verity = hasher.finish(hash_offset=0)
    with path.open("wb") as stream:
        hasher.write_tree(verity, StreamOutput(stream))
    return verity


@pytest.mark.parametrize("superblock", [True, False])
@pytest.mark.parametrize("seed", range(16))
def test_separate_trees_are_those_of_veritysetup(tmp_path, seed, superblock):
    options = random_options(seed, superblock=superblock)
    data, ours, theirs = tmp_path / "data", tmp_path / "ours", tmp_path / "theirs"
    data.write_bytes(data_of(seed, options))
    verity = write_tree(ours, data.read_bytes(), options)
    form = [f"--uuid={UUID(bytes=options.uuid)}"] if superblock else ["--no-superblock"]
    said = run("veritysetup", "format", data, theirs, *arguments(options), *form)
    assert re.search(r"Root hash:\s+([0-9a-f]+)", said)[1] == verity.root_hash.hex()
    assert ours.read_bytes() == theirs.read_bytes()
    command = list(verity.open_command(str(data), str(ours), name="NAME"))
    command.remove("NAME")
    run(*["verify" if word == "open" else word for word in command])


@pytest.mark.parametrize("superblock", [True, False])
@pytest.mark.parametrize("seed", range(16))
def test_appended_trees_are_those_of_veritysetup(tmp_path, seed, superblock):
    options = random_options(seed, superblock=superblock)
    content = data_of(seed, options)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    with ours.open("wb") as stream:
        output = DmVerityOutput(StreamOutput(stream), options)
        output.write(content)
        verity = output.append_tree()
    theirs.write_bytes(content)
    form = [f"--uuid={UUID(bytes=options.uuid)}"] if superblock else ["--no-superblock"]
    run(
        "veritysetup", "format", theirs, theirs, *arguments(options), *form,
        f"--data-blocks={verity.data_blocks}", f"--hash-offset={verity.hash_offset}",
    )  # fmt: skip
    made = theirs.read_bytes()
    assert ours.read_bytes() == made + bytes(ours.stat().st_size - len(made))
    assert len(made) in {ours.stat().st_size, len(content)}
    command = list(verity.open_command(str(ours), name="NAME"))
    command.remove("NAME")
    run(*["verify" if word == "open" else word for word in command])


@pytest.mark.parametrize("seed", range(4))
def test_veritysetup_reads_the_superblock(tmp_path, seed):
    options = random_options(seed)
    content, path = data_of(seed, options), tmp_path / "hashes"
    verity = write_tree(path, content, options)
    said = run("veritysetup", "dump", path)
    found = dict(re.findall(r"^([A-Za-z ]+):\s+(\S+)", said, re.MULTILINE))
    assert found["UUID"] == str(UUID(bytes=options.uuid))
    assert found["Hash type"] == "1"
    assert found["Data blocks"] == str(verity.data_blocks)
    assert found["Data block size"] == str(options.data_block_size)
    assert found["Hash block size"] == str(options.hash_block_size)
    assert found["Hash algorithm"] == options.algorithm
    assert found["Salt"] == (options.salt.hex() or "-")


@pytest.mark.parametrize("offset", [0, 512, 12_800])
def test_trees_of_veritysetup_are_read_and_verified(tmp_path, offset):
    data, tree = tmp_path / "data", tmp_path / "tree"
    data.write_bytes(random.Random(offset).randbytes(4096 * 1000))
    said = run("veritysetup", "format", data, tree, f"--hash-offset={offset}")
    root_hash = bytes.fromhex(re.search(r"Root hash:\s+([0-9a-f]+)", said)[1])
    verity = read_dm_verity(reader(tree), root_hash, hash_offset=offset)
    verify_dm_verity(verity, reader(data), reader(tree))
    assert tree.stat().st_size == offset + verity.tree_size
    assert tree.read_bytes()[offset : offset + 512] == verity.superblock()


@pytest.mark.parametrize("seed", range(24))
def test_fs_verity_digests_are_those_of_the_fsverity_tool(tmp_path, seed):
    choice = random.Random(seed)
    algorithm = choice.choice(["sha256", "sha512"])
    block_size = choice.choice([1024, 4096, 16_384, 65_536])
    salt = choice.randbytes(choice.choice([0, 0, 1, 17, 32]))
    size = choice.choice([0, 1, block_size, block_size + 1, choice.randint(0, 5_000_000)])
    path = tmp_path / "file"
    path.write_bytes(choice.randbytes(size))
    said = run(
        "fsverity", "digest", "--compact", f"--hash-alg={algorithm}",
        f"--block-size={block_size}", *([f"--salt={salt.hex()}"] if salt else []),
        os.fspath(path),
    )  # fmt: skip
    digest = fs_verity_digest(
        [path.read_bytes()], algorithm=algorithm, block_size=block_size, salt=salt
    )
    assert digest.hex() == said.strip()
