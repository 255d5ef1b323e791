"""Records as lines of text and as JSON."""

from orlop.digest import Digest
from orlop.idmap import IdMapping
from orlop.metadata.objects import BigDatum
from orlop.storage.layers.record import Layer
from orlop.storage.stored.record import Container, StoredImage
from orlop.storagecmd import listing, records
from orlop.storagecmd.forms import json_line
from orlop.storagecmd.listing import Around
from orlop.tree import Change

HELLO = Digest("sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
MAPPING = IdMapping.parse(["0:1000:10"], ["0:2000:10"])
DATA = [
    BigDatum(name="manifest", file="x", size=5, digest=HELLO),
    BigDatum(name="item2", file="y", size=6, digest=HELLO),
]
NOTHING = Around(images={}, containers={}, mounts={})


def layer(key, parent=None, **more):
    return Layer(id=key, parent=parent, **{"flags": {}, "created_at_ns": 0, **more})


def image(key, **more):
    return StoredImage(id=key, **{"flags": {}, "created_at_ns": 0, **more})


def container(key, **more):
    return Container(id=key, **{"flags": {}, "created_at_ns": 0, **more})


AROUND = Around(
    images={"mid": [image("im", names=("in1", "in2"), layer="mid")]},
    containers={"top": container("c1", names=("cn",), image="im", layer="top")},
    mounts={"top": "/run/m"},
)


def test_a_layer_in_a_list_has_its_users_below():
    found = listing.layer_lines(layer("mid", "base", names=("n1",)), AROUND)
    assert list(found) == [
        "mid", "\tname: n1", "\timage: im", "\t\tname: in1", "\t\tname: in2",
    ]  # fmt: skip
    found = listing.layer_lines(layer("top", "mid"), AROUND)
    assert list(found) == ["top", "\tcontainer: c1", "\t\tname: cn"]


def test_a_layer_alone_shows_its_mapping():
    found = listing.layer_page(layer("l", "p", names=("n",), id_mapping=MAPPING, additional=True))
    assert list(found) == [
        "ID: l",
        "UID mapping: (container=0, host=1000, size=10)",
        "GID mapping: (container=0, host=2000, size=10)",
        "Parent: p",
        "Name: n",
        "Read Only: true",
    ]


def test_layers_are_drawn_as_a_tree():
    layers = [
        layer("base"), layer("mid", "base", names=("n1",)), layer("top", "mid"),
        layer("j1", "base"),
        layer("lone"), layer("orphan", "gone"),
    ]  # fmt: skip
    assert list(listing.tree_lines(layers, AROUND)) == [
        "(base)",
        "├─base",
        "│ ├─mid",
        "│ │ name: n1",
        "│ │ image: im",
        "│ │ image name: in1",
        "│ │ image name: in2",
        "│ │ └─top",
        "│ │   mount: /run/m",
        "│ │   container: c1",
        "│ │   container name: cn",
        "│ └─j1",
        "└─lone",
        "gone",
        "└─orphan",
    ]


def test_a_stack_may_be_as_deep_as_it_likes():
    layers = [layer("0"), *(layer(str(n), str(n - 1)) for n in range(1, 3000))]
    assert sum(1 for _ in listing.tree_lines(layers, NOTHING)) == 3001


def test_an_image_shows_digests_and_data():
    found = image("I", names=("iname",), layer="M", digests=(HELLO,), additional=True)
    assert list(listing.image_lines(found, DATA)) == [
        "I", "\tname: iname", f"\tdigest: {HELLO}", "\tdata: manifest", "\tdata: item2",
    ]  # fmt: skip
    assert list(listing.image_page(found, DATA, "Size: 10")) == [
        "ID: I",
        "Name: iname",
        "Top Layer: M",
        f"Digest: {HELLO}",
        "Data: manifest",
        "Data: item2",
        "Size: 10",
        "Read Only: true",
    ]
    assert "Top Layer: " in list(listing.image_page(image("I"), (), "Size: 0"))


def test_a_container_shows_its_image():
    found = container("C", names=("cn",), image="I", layer="L")
    assert list(listing.container_page(found, ("in",), DATA[1:], "Size: 5")) == [
        "ID: C", "Name: cn", "Image: I", "Image name: in", "Size: 5", "Layer: L", "Data: item2",
    ]  # fmt: skip
    assert list(listing.container_lines(found, DATA[1:])) == [
        "C", "\tname: cn", "\tdata: item2",
    ]  # fmt: skip


def test_changes_name_paths_that_may_be_no_text():
    lines = [
        listing.change_line(Change(kind="add", path=b"d/new")),
        listing.change_line(Change(kind="modify", path=b"d")),
        listing.change_line(Change(kind="delete", path=b"\xff")),
    ]
    assert lines == ['Add "/d/new"', 'Modify "/d"', 'Delete "/\\xff"']


def test_json_of_a_layer_leaves_out_what_is_empty():
    plain = records.layer_json(layer("base", created_at_ns=1), ())
    assert json_line(plain) == '{"id":"base","created":"1970-01-01T00:00:00.000000001Z"}'
    full = records.layer_json(
        layer(
            "M", "L", names=("n",), mount_label="lab", diff_id=HELLO, diff_size=10240,
            compressed_digest=HELLO, compressed_size=243, compression="gzip", id_mapping=MAPPING,
            flags={"b": 1, "a": True},
        ),
        DATA,
        ([0, 1], [5]),
    )  # fmt: skip
    assert json_line(full) == (
        '{"id":"M","names":["n"],"parent":"L","mountlabel":"lab","created":"1970-01-01T00:00:00Z",'
        f'"compressed-diff-digest":"{HELLO}","compressed-size":243,"diff-digest":"{HELLO}",'
        '"diff-size":10240,"compression":2,"uidset":[0,1],"gidset":[5],"flags":{"a":true,"b":1},'
        '"uidmap":[{"container_id":0,"host_id":1000,"size":10}],'
        '"gidmap":[{"container_id":0,"host_id":2000,"size":10}],'
        '"big-data-names":["manifest","item2"]}'
    )


def test_json_of_an_image_has_sizes_and_digests_by_name():
    found = image(
        "I", names=("n",), names_history=("n", "o"), layer="M", metadata="m", digests=(HELLO,)
    )
    assert json_line(records.image_json(found, DATA)) == (
        f'{{"id":"I","digest":"{HELLO}","names":["n"],"names-history":["n","o"],"layer":"M",'
        '"metadata":"m","big-data-names":["manifest","item2"],'
        '"big-data-sizes":{"item2":6,"manifest":5},'
        f'"big-data-digests":{{"item2":"{HELLO}","manifest":"{HELLO}"}},'
        '"created":"1970-01-01T00:00:00Z"}'
    )


def test_json_of_a_container_always_has_image_layer_and_labels():
    found = container("C", layer="L", flags={"volatile": True})
    assert json_line(records.container_json(found, ())) == (
        '{"id":"C","image":"","layer":"L","created":"1970-01-01T00:00:00Z",'
        '"flags":{"MountLabel":"","ProcessLabel":"","Volatile":true}}'
    )
