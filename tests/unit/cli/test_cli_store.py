"""`orlop gc`, `df` and `info`."""

import json
import os

import orlop
from orlop.cli.main import main


def test_gc_says_when_there_is_nothing(empty, layout):
    empty.pull(layout.source)
    empty.collect()
    assert empty.orlop("gc").out == "nothing to free\n"


def test_gc_says_what_it_freed(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    empty.orlop("rm", "box")
    planned = json.loads(empty.orlop("gc", "--dry-run", "--format", "json").out)
    freed = json.loads(empty.orlop("gc", "--format", "json").out)
    assert freed == planned
    items = freed.pop("items")
    assert freed.pop("size") == sum(item["size"] for item in items) > 256 * 9000
    assert {(item["kind"], *item) for item in items} == {
        (kind, "kind", "key", "size") for kind in ("blob", "layer", "stack")
    }
    assert freed == {
        "leases": 0,
        "containers": 0,
        "mounts": 0,
        "images": 0,
        "blobs": 4,
        "layers": 2,
        "stacks": 1,
        "ingests": 0,
        "leftovers": 0,
    }


def test_gc_for_people(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    empty.orlop("rm", "box")
    files = empty.files()
    planned = [line.split() for line in empty.orlop("gc", "--dry-run").out.splitlines()]
    assert empty.files() == files
    assert planned[0] == ["WHAT", "SIZE", "NAME"]
    assert [line[0] for line in planned[1:]] == ["blob"] * 4 + ["layer"] * 2 + ["stack", "all"]
    assert all(line[3].startswith("sha256:") for line in planned[1:-1])
    size = " ".join(planned[-1][1:])
    assert empty.orlop("gc").out == f"blobs:   4\nlayers:  2\nstacks:  1\nfreed:   {size}\n"
    assert empty.orlop("gc", "-n").out == "nothing to free\n"


def test_dry_run_makes_no_store(tmp_path, capsys):
    assert main(["--root", str(tmp_path / "none"), "gc", "--dry-run"]) == 0
    assert capsys.readouterr().out == "nothing to free\n"
    assert list(tmp_path.iterdir()) == []


def test_df_as_json(filled):
    found = json.loads(filled.orlop("df", "--format", "json").out)
    assert found["images"] == 1
    assert found["blobs"]["count"] == 4
    assert found["layers"]["count"] == 2
    shares = [found[name] for name in ("blobs", "layers", "stacks", "written", "data", "ingests")]
    assert all(set(share) == {"count", "size", "reclaimable"} for share in shares)
    assert found["total"] == sum(share["size"] for share in shares)
    assert found["layers"]["size"] > 256 * 9000
    assert found["free"] > 0


def test_df_for_people(filled):
    lines = [line.split() for line in filled.orlop("df").out.splitlines()]
    assert lines[0] == ["WHAT", "COUNT", "SIZE", "RECLAIMABLE"]
    assert [line[0] for line in lines[1:]] == [
        "blobs", "layers", "stacks", "written", "data", "unfinished", "all", "free",
    ]  # fmt: skip


def test_df_tells_what_gc_would_free(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    empty.orlop("rm", "box")
    before = json.loads(empty.orlop("df", "--format", "json").out)
    assert before["blobs"]["reclaimable"] == before["blobs"]["size"] > 0
    empty.collect()
    after = json.loads(empty.orlop("df", "--format", "json").out)
    assert after["total"] == 0


def test_info_as_json(filled):
    found = json.loads(filled.orlop("info", "--format", "json").out)
    assert found["version"] == orlop.__version__
    assert (found["root"], found["run"]) == (str(filled.root), str(filled.run))
    assert found["driver"] in {"erofs", "overlay", "directory"}
    assert found["format"] == 1
    assert found["machine"]["kernel"] == os.uname().release
    assert set(found["machine"]["overlay"]) == {"works", "reason"}


def test_info_for_people(filled):
    out = filled.orlop("info").out
    assert f"root:     {filled.root}\n" in out
    assert "overlay lowers" in out


def test_info_makes_no_store(tmp_path):
    assert main(["--root", str(tmp_path / "none/root"), "info"]) == 0
    assert not (tmp_path / "none").exists()


def test_info_says_that_there_is_no_store(tmp_path, capsys):
    assert main(["--root", str(tmp_path / "none"), "info", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["store"], found["root"]) == ("none yet", str(tmp_path / "none"))


def test_info_says_why_a_store_is_unusable(tmp_path, capsys):
    (tmp_path / "format.json").write_text('{"version": 99, "features": []}')
    assert main(["--root", str(tmp_path), "info", "--format", "json"]) == 0
    assert "format version 99" in json.loads(capsys.readouterr().out)["store"]
