"""`orlop disk`."""

import hashlib
import json
import os
import shutil
import struct

import pytest

from orlop.testing.registry import FaultyRegistry
from support.images import ImageBuilder, file, join_platforms, tar
from support.stores import StoreUnderTest

UUID = "01234567-89ab-8def-8123-456789abcdef"
needs_squashfs = pytest.mark.skipif(not shutil.which("tar2sqfs"), reason="not installed: tar2sqfs")


@pytest.fixture
def disk(filled, tmp_path):
    """Make disks of the image `box` at `tmp_path / "disk"`."""

    def run(*options, output=tmp_path / "disk", image="box"):
        return filled.orlop("disk", image, "-o", output, *options)

    return run


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ext4_superblock(path):
    return path.read_bytes()[1024:2048]


def test_a_disk_and_its_path(disk, tmp_path):
    done = disk()
    assert (done.code, done.out) == (0, f"{tmp_path}/disk\n")
    assert done.err.startswith("erofs, ")
    assert done.err.endswith("for Linux 5.4 on\n")
    assert len(done.err.splitlines()) == 1
    assert struct.unpack_from("<I", (tmp_path / "disk").read_bytes(), 1024) == (0xE0F5E1E2,)
    assert os.listdir(tmp_path) == ["disk"]


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet(disk, tmp_path, option):
    done = disk(option, "--verity")
    assert (done.code, done.out, done.err) == (0, f"{tmp_path}/disk\n", "")


def test_json(disk, tmp_path):
    done = disk("--format", "json", "--verity", "--salt", "5a17")
    assert done.err == ""
    (found,) = json.loads(done.out)
    assert found["path"] == str(tmp_path / "disk")
    assert found["size"] == (tmp_path / "disk").stat().st_size
    assert found["fs"] == "erofs"
    assert found["kernel"] == "5.4"
    assert len(found["diff_ids"]) == 2
    assert found["verity"]["salt"] == "5a17"
    assert found["verity"]["block_size"] == 4096
    assert 0 < found["verity"]["hash_offset"] < found["size"]
    told = disk("--verity", "--salt", "5a17").err
    tree = f"tree at {found['verity']['hash_offset']} of "
    assert f"root hash {found['verity']['root_hash']}, {tree}" in told
    assert "verity" not in json.loads(disk("--format", "json").out)[0]


def test_layers_are_told_base_first(disk, tmp_path):
    done = disk("--layers", output=tmp_path / "disk.img")
    paths = [f"{tmp_path}/disk.{at}.img" for at in range(2)]
    assert done.out.splitlines() == paths
    found = json.loads(disk("--layers", "--format", "json", output=tmp_path / "disk.img").out)
    assert [each["path"] for each in found] == paths
    assert b"hostname" in (tmp_path / "disk.0.img").read_bytes()
    assert b"note" in (tmp_path / "disk.1.img").read_bytes()
    assert b"note" not in (tmp_path / "disk.0.img").read_bytes()
    assert [len(each["diff_ids"]) for each in found] == [1, 1]


def test_max_disks(disk, tmp_path):
    assert disk("--layers", "--max-disks", "1").out == f"{tmp_path}/disk\n"
    assert len(disk("--layers", "--max-disks", "2").out.splitlines()) == 2


def test_indexed_has_the_tars_in_it(disk, tmp_path, layout):
    done = disk("--indexed")
    assert "for Linux 6.4 on" in done.err
    assert b"ustar" in (tmp_path / "disk").read_bytes()


@pytest.mark.parametrize(("compress", "kernel"), [("lz4", "5.13"), ("zstd", "6.10")])
def test_compressed(disk, tmp_path, compress, kernel):
    plain = disk("-q") and (tmp_path / "disk").stat().st_size
    done = disk("--compress", compress, "--level", "3", "--extent", "64K")
    assert f"for Linux {kernel} on" in done.err
    assert (tmp_path / "disk").stat().st_size < plain


def test_other_options_make_other_bytes(disk, tmp_path):
    found = set()
    options = [
        [], ["--block-size", "1024"], ["--no-share"], ["--verity"], ["--uuid", UUID],
        ["--compress", "zstd"], ["--compress", "zstd", "--level", "9"],
        ["--fs", "ext4"], ["--fs", "ext4", "--no-journal"], ["--fs", "ext4", "--label", "root"],
        ["--fs", "ext4", "--size", "64M"], ["--fs", "ext4", "--size", "+1M"],
    ]  # fmt: skip
    for each in options:
        assert disk(*each).code == 0
        found.add(digest(tmp_path / "disk"))
    assert len(found) == len(options)
    assert disk().code == 0
    assert digest(tmp_path / "disk") in found, "the same again"


def test_label_and_uuid(disk, tmp_path):
    disk("--fs", "ext4", "--label", "größe", "--uuid", UUID)
    block = ext4_superblock(tmp_path / "disk")
    assert block[120:136].rstrip(b"\0") == "größe".encode()
    assert block[104:120].hex() == UUID.replace("-", "")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64M", 64 << 20),
        ("64m", 64 << 20),
        ("64MiB", 64 << 20),
        ("65536K", 64 << 20),
        ("0.0625G", 64 << 20),
        ("1.5GiB", 3 << 29),
        ("1G", 1 << 30),
        ("4G", 4 << 30),
        ("100MB", 100_000_000),
        (str(64 << 20), 64 << 20),
    ],
)
def test_sizes(disk, tmp_path, text, size):
    done = disk("--fs", "ext4", "--size", text, "--format", "json")
    assert json.loads(done.out)[0]["size"] == size
    assert (tmp_path / "disk").stat().st_size == size


@pytest.mark.parametrize(("text", "free"), [("+1G", 1 << 30), ("+0", 0), ("+1.5GiB", 3 << 29)])
def test_free_space(disk, tmp_path, text, free):
    disk("--fs", "ext4", "--size", text)
    block = ext4_superblock(tmp_path / "disk")
    low, high = struct.unpack_from("<I", block, 12)[0], struct.unpack_from("<I", block, 0x158)[0]
    assert (low | high << 32) * 4096 >= free


@pytest.mark.parametrize(
    "size", ["", "x", "4X", "+", "++1G", "1 2", "1e99G", "-5", "9999999T", "G"]
)
def test_sizes_that_are_none(disk, tmp_path, size):
    done = disk("--fs", "ext4", f"--size={size}")
    done.check_failure(2)
    assert "is no size" in done.err
    assert "hint: such as 512M, 4G or 2TiB" in done.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--size", "4G"], "erofs has no size: ext4 has"),
        (["--size", "+4G"], "erofs has no free: ext4 has"),
        (["--fs", "ext4", "--size", "0"], "a size of 4096 bytes or more"),
        (["--uuid", "none"], "'none' is no UUID"),
        (["--uuid", "00000000-0000-0000-0000-000000000000"], "not all of them zero"),
        (["--verity", "--salt", "abc"], "'abc' is no even number of hexadecimal digits"),
        (["--verity", "--salt", "xy"], "'xy' is no even number of hexadecimal digits"),
        (["--verity", "--salt", "00" * 257], "a salt of up to 256 bytes"),
        (["--salt", "00"], "is that of a hash tree"),
        (["--layers", "--indexed"], "--layers and --indexed are two ways to make disks"),
        (["--max-disks", "2"], "limit of disks"),
        (["--layers", "--max-disks", "0"], "limit of disks"),
        (["--fs", "ext4", "--layers"], "ext4 disks are written to"),
        (["--indexed", "--verity"], "indexed is erofs"),
        (["--compress", "gzip"], "erofs is compressed with lz4, zstd, not with gzip"),
        (["--level", "3"], "level and extent are those of a compression"),
        (["--compress", "lz4", "--level", "99"], "lz4 has levels 0 to 12, not 99"),
        (["--compress", "lz4", "--extent", "64"], "an extent has 2**n bytes"),
        (["--compress", "lz4", "--extent", "x"], "'x' is no size"),
        (["--block-size", "1000"], "erofs has blocks of 2**n bytes"),
        (["--fs", "ext4", "--label", "x" * 17], "a label has up to 16 bytes"),
        (["--fs", "ext4", "--label", "\udcff"], ""),
        (["--fs", "fat"], "fs"),
        (["--compress", "lzo"], "compress"),
        (["--pull", "sometimes"], "pull"),
        (["--max-disks", "many"], "max-disks"),
        (["--format", "yaml"], "format"),
        (["--nothing"], "--nothing"),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_usage(disk, tmp_path, options, says):
    done = disk(*options)
    done.check_failure(2)
    assert says in done.err
    assert os.listdir(tmp_path) == []


def test_an_output_is_needed(filled):
    done = filled.orlop("disk", "box")
    assert done.code == 2
    assert "output" in done.err


@pytest.mark.parametrize("fs", ["ext4", pytest.param("squashfs", marks=needs_squashfs)])
def test_source_date_epoch(disk, tmp_path, monkeypatch, fs):
    found = set()
    for moment in ("1000000000", "1000000001", None):
        if moment is None:
            monkeypatch.delenv("SOURCE_DATE_EPOCH")
        else:
            monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)
        assert disk("--fs", fs, "--uuid", UUID).code == 0
        found.add(digest(tmp_path / "disk"))
        if fs == "ext4" and moment:
            (made,) = struct.unpack_from("<I", ext4_superblock(tmp_path / "disk"), 264)
            assert made == int(moment)
    assert len(found) == 3


def test_source_date_epoch_is_nothing_to_erofs(disk, tmp_path, monkeypatch):
    disk()
    before = digest(tmp_path / "disk")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    disk()
    assert digest(tmp_path / "disk") == before


@pytest.mark.parametrize("moment", ["yesterday", "-1", "", "99999999999"])
def test_a_source_date_epoch_that_is_none(disk, monkeypatch, moment):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)
    disk("--fs", "ext4").check_failure(2)


@needs_squashfs
@pytest.mark.parametrize("compress", [None, "gzip", "lz4", "xz", "zstd"])
def test_squashfs(disk, tmp_path, compress):
    done = disk("--fs", "squashfs", *(["--compress", compress] if compress else []))
    assert done.code == 0, done
    assert (tmp_path / "disk").read_bytes()[:4] == b"hsqs"
    assert os.listdir(tmp_path) == ["disk"]


def test_without_a_program_for_squashfs(disk, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = disk("--fs", "squashfs")
    done.check_failure(1, "squashfs needs")
    assert "hint: install" in done.err
    assert os.listdir(tmp_path) == []


def test_an_image_by_a_prefix_of_its_id(disk, filled, tmp_path):
    disk()
    by_name = digest(tmp_path / "disk")
    for text in (filled.id.removeprefix("sha256:")[:12], filled.id):
        assert disk(image=text).code == 0
        assert digest(tmp_path / "disk") == by_name


def test_an_image_that_is_not_here(disk, tmp_path):
    done = disk("--pull", "never", image="localhost:1/none")
    done.check_failure(3, "none")
    assert disk("--pull", "never", image="oci:/nowhere").code == 3
    assert os.listdir(tmp_path) == []


def test_an_image_that_is_nowhere(disk, tmp_path):
    disk(image=f"oci:{tmp_path}/none").check_failure(3)
    disk(image="UPPER CASE").check_failure(2)


def test_pulling(empty, tmp_path):
    with FaultyRegistry() as registry:
        registry.add_image("app", "1", [tar(file("one"))])
        reference = f"{registry.address}/app:1"
        words = ("disk", reference, "-o", tmp_path / "disk", "-q")
        assert empty.orlop(*words, "--pull", "never").code == 3
        assert not registry.seen
        assert empty.orlop(*words).code == 0
        assert registry.seen
        assert [image["name"] for image in empty.images()] == [reference]
        registry.seen.clear()
        for policy in ("missing", "never"):
            assert empty.orlop(*words, "--pull", policy).code == 0
        assert not registry.seen
        before = digest(tmp_path / "disk")
        registry.add_image("app", "1", [tar(file("two"))])
        assert empty.orlop(*words, "--pull", "always").code == 0
        assert digest(tmp_path / "disk") != before
        (tmp_path / "disk").unlink()
        registry.put_manifest("app", b"{}", "application/vnd.oci.image.manifest.v1+json", "1")
        done = empty.orlop(*words, "--pull", "always")
        assert done.code not in (0, 2)
        assert not (tmp_path / "disk").exists()


def test_the_platform_that_is_pulled(empty, tmp_path):
    place = tmp_path / "layout"
    for architecture in ("amd64", "arm64"):
        builder = ImageBuilder(platform=("linux", architecture))
        builder.layer(file("arch", architecture.encode())).write(place, tag=architecture)
    join_platforms(place, "all")
    words = ("disk", f"oci:{place}:all", "-o", tmp_path / "disk", "-q")
    empty.orlop(*words, "--platform", "nonsense/x/y/z").check_failure(2)
    assert not (tmp_path / "disk").exists()
    assert empty.orlop(*words, "--platform", "linux/arm64").code == 0
    assert b"arm64" in (tmp_path / "disk").read_bytes()


def test_an_image_of_another_platform_is_not_the_one_that_is_asked_for(disk, tmp_path):
    words = ("--pull", "never", "--platform")
    assert disk(*words, "linux/amd64").code == 0
    (tmp_path / "disk").unlink()
    done = disk(*words, "linux/arm64")
    done.check_failure(3, "is here for linux/amd64, and not for linux/arm64")
    disk(*words, "nonsense/x/y/z").check_failure(2)
    assert os.listdir(tmp_path) == []


def test_an_output_in_a_directory_that_is_missing(disk, tmp_path):
    disk(output=tmp_path / "none" / "disk").check_failure(3, f"no such directory: {tmp_path}/none")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("output", ["", ".", "..", "/"])
@pytest.mark.parametrize("options", [[], ["--layers"]], ids=str)
def test_outputs_that_name_no_file(disk, tmp_path, monkeypatch, output, options):
    monkeypatch.chdir(tmp_path)
    done = disk(*options, output=output)
    assert done.code in (1, 2)
    done.check_failure(done.code)
    assert os.listdir(tmp_path) == []


def test_outputs_that_are_no_files(disk, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for output in (tmp_path, tmp_path / "fifo", "/dev/null"):
        disk(output=output).check_failure(1, "is neither a file nor a block device")
    disk("--layers", output=tmp_path).check_failure(1, "is no place for 2 disks")
    assert os.listdir(tmp_path) == ["fifo"]


@pytest.mark.parametrize("where", ["disk", "blobs/disk", "staging/../disk", "orlop.db"])
def test_an_output_in_the_store(disk, filled, tmp_path, where):
    before = filled.files()
    (tmp_path / "link").symlink_to(filled.root)
    for root in (filled.root, tmp_path / "link"):
        disk(output=root / where).check_failure(1, "is in the store itself")
    assert filled.files() == before


def test_an_output_that_is_the_input(empty, tmp_path):
    """What was read is read to its end, and in the store, before it is replaced."""
    archive = tmp_path / "archive"
    layout = ImageBuilder().layer(file("one", b"hello")).write(tmp_path / "layout")
    empty.pull(layout.source, "--tag", "box")
    assert empty.orlop("save", "box", "--format", "oci-archive", "-o", archive).code == 0
    assert empty.orlop("disk", f"oci-archive:{archive}", "-o", archive, "-q").code == 0
    assert b"hello" in archive.read_bytes()


def test_a_link_is_replaced(disk, tmp_path):
    (tmp_path / "other").write_bytes(b"other")
    (tmp_path / "disk").symlink_to("other")
    assert disk().code == 0
    assert (tmp_path / "other").read_bytes() == b"other"
    assert not (tmp_path / "disk").is_symlink()


def test_odd_names(disk, tmp_path):
    for name in ("größe.img", "a b", "日" * 85, b"\xff.img"):
        path = os.path.join(os.fsencode(tmp_path), name.encode() if type(name) is str else name)
        assert disk(output=os.fsdecode(path)).code == 0
        assert os.path.isfile(path)
        assert disk("--format", "json", output=os.fsdecode(path)).code == 0


def test_layers_that_cannot_all_be_written_leave_what_was_there(disk, tmp_path):
    (tmp_path / "disk.0").write_bytes(b"old")
    (tmp_path / "disk.1").mkdir()
    disk("--layers").check_failure(1, "is neither a file nor a block device")
    assert (tmp_path / "disk.0").read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["disk.0", "disk.1"]


def test_layers_of_a_store_that_is_looked_through(filled, disk, layout, tmp_path):
    disk()
    expected = digest(tmp_path / "disk")
    other = StoreUnderTest(tmp_path)
    words = ("disk", layout.source, "-o", tmp_path / "disk", "-q")
    before = filled.files()
    done = other.orlop("--additional-store", filled.root, *words)
    assert done.code == 0, done
    assert digest(tmp_path / "disk") == expected
    assert filled.files() == before
