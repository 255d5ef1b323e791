"""`orlop image check`: what is missing, what is damaged, and that it comes back."""

import json

import pytest

import orlop
from orlop.spec.descriptor import Descriptor
from orlop.spec.index import Index
from orlop.spec.layout import REF_NAME
from support.images import ImageBuilder, file


@pytest.fixture
def boxed(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    return empty


def stored(store, digest):
    return store.root / "blobs" / digest.replace(":", "/")


def checked(store, *arguments):
    done = store.orlop("image", "check", *arguments, "--format", "json")
    return done.code, json.loads(done.out)


def test_what_is_whole(boxed, layout):
    boxed.orlop("tag", "box", "one")
    code, found = checked(boxed)
    assert (code, [each["is"] for each in found]) == (0, ["whole", "whole"])
    required = found[0]["required"]
    assert required[0] == layout.manifest["digest"]
    assert set(required[2:]) == {layer["digest"] for layer in layout.layers}
    heading, row = boxed.orlop("image", "check", "box").out.splitlines()
    assert (heading.split()[:2], row.split()[1:]) == (["NAME", "IS"], ["whole"])


@pytest.mark.parametrize("part", ["manifest", "config", "layer"])
def test_what_is_missing_comes_back_with_a_pull(boxed, layout, part):
    manifest = json.loads(layout.blob(layout.manifest).read_bytes())
    digest = {
        "manifest": layout.manifest["digest"],
        "config": manifest["config"]["digest"],
        "layer": layout.layers[1]["digest"],
    }[part]
    stored(boxed, digest).unlink()
    assert "`orlop pull`" in boxed.orlop("image", "check").err
    code, (found,) = checked(boxed, "box")
    assert (code, found["is"], found["missing"], found["damaged"]) == (
        3,
        "incomplete",
        [digest],
        [],
    )
    boxed.pull(layout.source, "--tag", "box")
    assert checked(boxed)[0] == 0


@pytest.mark.parametrize("change", [b"longer", b""])
@pytest.mark.parametrize("number", [0, 1])
def test_what_is_damaged_comes_back_after_rm_and_gc(boxed, layout, number, change):
    blob = stored(boxed, [layout.manifest, *layout.layers][number]["digest"])
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(bytes(data) + change)
    code, (found,) = checked(boxed)
    assert (code, found["is"], found["missing"]) == (4, "damaged", [])
    (damage,) = found["damaged"]
    assert damage["digest"].endswith(blob.name)
    assert "expected" in damage["why"]
    assert "`orlop gc`" in boxed.orlop("image", "check").err
    boxed.orlop("rm", "box")
    boxed.collect()
    boxed.pull(layout.source, "--tag", "box")
    assert checked(boxed)[0] == 0


def test_a_quick_look_does_not_read_layers(boxed, layout):
    blob = stored(boxed, layout.layers[0]["digest"])
    data = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(b"\0" * len(data))
    assert checked(boxed, "--quick")[0] == 0
    assert checked(boxed)[0] == 4
    blob.write_bytes(b"")
    assert checked(boxed, "--quick")[0] == 4


def test_all_platforms_are_required_only_when_asked(empty, tmp_path):
    layout = tmp_path / "both"
    made = [
        ImageBuilder(platform=("linux", arch)).layer(file("arch", arch.encode())).write(layout)
        for arch in ("amd64", "s390x")
    ]
    children = [
        Descriptor.decode({**each.manifest, "platform": {"os": "linux", "architecture": arch}})
        for each, arch in zip(made, ("amd64", "s390x"), strict=True)
    ]
    index = Index(manifests=tuple(children))
    described = Descriptor.of(index.media_type, index.raw, annotations={REF_NAME: "both"})
    made[0].blob(described.encode()).write_bytes(index.raw)
    (layout / "index.json").write_bytes(Index(manifests=(described,)).encode())
    empty.pull(f"oci:{layout}:both", "--platform", "linux/amd64", "--tag", "both")
    assert checked(empty)[0] == 0
    code, (found,) = checked(empty, "--all-platforms")
    assert (code, found["missing"]) == (3, [made[1].manifest["digest"]])
    layer = made[0].layers[0]["digest"]
    stored(empty, layer).unlink()
    code, (found,) = checked(empty)
    assert (code, found["missing"]) == (3, [layer])


def test_without_a_store_there_is_nothing_to_check(empty):
    assert checked(empty) == (0, [])
    empty.orlop("image", "check", "box").check_failure(3, "no store at")


def test_the_library_tells_the_same(boxed, layout):
    with orlop.open_store(boxed.root, boxed.run) as store:
        image = store.image("box")
        assert image.check()
        stored(boxed, layout.layers[0]["digest"]).unlink()
        found = image.check(verify=False)
        assert not found
        assert [each.digest for each in found.missing] == [layout.layers[0]["digest"]]
