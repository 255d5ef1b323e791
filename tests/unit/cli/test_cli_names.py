"""`orlop tag`, `untag`, `history`, and the documents that `inspect` prints."""

import json

import pytest

from orlop.spec.descriptor import Descriptor
from orlop.spec.index import Index
from orlop.spec.layout import REF_NAME
from support.images import ImageBuilder, file

ONE, TWO = "docker.io/library/one:latest", "docker.io/library/two:2"


def names(store):
    return [image["name"] for image in store.images()]


@pytest.fixture
def boxed(empty, layout):
    empty.id = empty.pull(layout.source, "--tag", "box")
    return empty


def test_an_image_gets_more_names(boxed):
    done = boxed.orlop("tag", "box", "one", "two:2")
    assert (done.code, done.out) == (0, f"{ONE}\n{TWO}\n")
    assert names(boxed) == ["docker.io/library/box:latest", ONE, TWO]
    assert {image["id"] for image in boxed.images()} == {boxed.id}
    assert boxed.orlop("cat", "two:2", "/etc/hostname").out == "box\n"


def test_a_name_keeps_the_image_when_the_others_are_gone(boxed):
    boxed.orlop("tag", boxed.id, "one")
    boxed.orlop("rm", "box")
    boxed.collect()
    assert boxed.orlop("cat", "one", "/etc/hostname").out == "box\n"


def test_a_name_that_is_taken_moves(boxed, tmp_path):
    other = ImageBuilder().layer(file("other", b"")).write(tmp_path / "other")
    boxed.pull(other.source, "--tag", "one")
    assert boxed.orlop("tag", "box", "one").out == f"{ONE}\n"
    assert {image["name"]: image["id"] for image in boxed.images()}[ONE] == boxed.id


@pytest.mark.parametrize(
    ("bad", "code"), [("UPPER", 2), ("a@sha256:" + "0" * 64, 2), ("", 2), ("a b", 2)]
)
def test_of_several_names_all_are_given_or_none(boxed, bad, code):
    boxed.orlop("tag", "box", "one", bad).check_failure(code)
    assert names(boxed) == ["docker.io/library/box:latest"]


def test_only_an_image_that_is_there_gets_a_name(boxed):
    boxed.orlop("tag", "nothing", "one").check_failure(3, "no image is called 'nothing'")


def test_untag_takes_names_and_no_ids(boxed):
    boxed.orlop("tag", "box", "one")
    boxed.orlop("untag", boxed.id).check_failure(3, "no image is called")
    boxed.orlop("untag", boxed.id[7:19]).check_failure(3, "no image is called")
    done = boxed.orlop("untag", "one", "nothing", "box")
    assert (done.code, done.out) == (3, f"{ONE}\ndocker.io/library/box:latest\n")
    assert len(done.errors) == 1
    assert names(boxed) == []


def test_untag_goes_on_where_rm_would_ask(boxed):
    boxed.orlop("tag", "box", "one")
    assert boxed.orlop("rm", boxed.id).code == 1
    assert boxed.orlop("untag", "box").code == 0
    assert names(boxed) == [ONE]


@pytest.mark.parametrize(
    ("option", "wanted"),
    [("--raw", "manifest"), ("--manifest", "manifest"), ("--config", "config")],
)
def test_documents_are_printed_byte_for_byte(filled, layout, option, wanted):
    manifest = layout.blob(layout.manifest).read_text()
    config = layout.blob(json.loads(manifest)["config"]).read_text()
    assert (
        filled.orlop("inspect", option, "box").out
        == {"manifest": manifest, "config": config}[wanted]
    )


def test_raw_is_what_the_name_stands_for(empty, tmp_path):
    layout = ImageBuilder().layer(file("one", b"1")).write(tmp_path / "whole")
    raw = put_index(layout)
    empty.pull(f"oci:{layout.path}:whole", "--tag", "whole")
    assert empty.orlop("inspect", "--raw", "whole").out.encode() == raw
    assert json.loads(empty.orlop("inspect", "--manifest", "whole").out)["layers"]


def put_index(layout):
    """Replace the image of a layout by an index of it, called `whole`, and give the index."""
    platform = {"os": "linux", "architecture": "amd64"}
    index = Index(manifests=(Descriptor.decode({**layout.manifest, "platform": platform}),))
    raw = json.dumps(json.loads(index.encode()), indent=3).encode()
    described = Descriptor.of(index.media_type, raw, annotations={REF_NAME: "whole"})
    layout.blob(described.encode()).write_bytes(raw)
    (layout.path / "index.json").write_bytes(Index(manifests=(described,)).encode())
    return raw


def test_one_document_at_a_time(filled):
    filled.orlop("inspect", "--raw", "--config", "box").check_failure(2, "exclude each other")


@pytest.fixture
def told(empty, tmp_path):
    """An image whose config tells of three steps, one of them without a layer."""
    history = [
        {"created": "2024-02-03T04:05:06.5Z", "created_by": "COPY  one /\n", "comment": "base"},
        {"created_by": "ENV A=b", "empty_layer": True},
        {"created_by": "RUN " + "x" * 100},
    ]
    builder = ImageBuilder(config={"history": history})
    builder.layer(file("one", b"1")).layer(file("two", b"2"))
    layout = builder.write(tmp_path / "told")
    empty.pull(layout.source, "--tag", "told")
    return empty, layout, history


def test_history_has_the_last_step_first(told):
    store, layout, history = told
    steps = json.loads(store.orlop("history", "told", "--format", "json").out)
    sizes = [layer["size"] for layer in layout.layers]
    assert steps == [
        {**history[2], "layer": layout.layers[1]["digest"], "size": sizes[1]},
        history[1],
        {**history[0], "layer": layout.layers[0]["digest"], "size": sizes[0]},
    ]


def test_history_for_people(told):
    heading, run, env, copy = told[0].orlop("history", "told").out.splitlines()
    assert heading.split() == ["CREATED", "SIZE", "CREATED", "BY", "COMMENT"]
    assert run.endswith("…")
    assert len(run) < 100
    assert env.strip() == "ENV A=b"
    assert copy.startswith("2024-02-03 04:05:06")
    assert copy.split()[-4:] == ["COPY", "one", "/", "base"]


def test_layers_of_which_nothing_is_told_are_steps_too(filled, layout):
    steps = json.loads(filled.orlop("history", "box", "--format", "json").out)
    assert [step["layer"] for step in steps] == [each["digest"] for each in layout.layers][::-1]


def test_labels_are_set_listed_and_taken_away(boxed):
    assert boxed.orlop("label", "box", "team=sea", "a.b/c=x=y").code == 0
    assert boxed.orlop("label", "box").out == "a.b/c=x=y\nteam=sea\n"
    boxed.orlop("label", "box", "team=", "kind=ship")
    found = boxed.orlop("label", "box", "--format", "json")
    assert json.loads(found.out) == {"a.b/c": "x=y", "kind": "ship"}


def test_labels_belong_to_a_name_and_stay_when_it_moves(boxed, tmp_path):
    boxed.orlop("label", "box", "team=sea")
    boxed.orlop("tag", "box", "one")
    assert boxed.orlop("label", "one").out == ""
    other = ImageBuilder().layer(file("other", b"")).write(tmp_path / "other")
    boxed.pull(other.source, "--tag", "box")
    assert boxed.orlop("label", "box").out == "team=sea\n"


@pytest.mark.parametrize("word", ["team", "=sea", ""])
def test_what_is_no_label(boxed, word):
    boxed.orlop("label", "box", "a=b", word).check_failure(2, "is no label")
    assert boxed.orlop("label", "box").out == ""


def test_labels_that_cannot_be_kept(boxed):
    boxed.orlop("label", "box", "a=b", "c=" + "x" * 4096).check_failure(1, "4097 bytes")
    expire = "containerd.io/gc.expire"
    boxed.orlop("label", "box", "a=b", f"{expire}=soon").check_failure(1, "'soon' is no time")
    assert boxed.orlop("label", "box").out == ""


def test_an_id_with_several_names_is_no_place_for_labels(boxed):
    boxed.orlop("tag", "box", "one")
    boxed.orlop("label", boxed.id, "a=b").check_failure(1, "has several names")
    assert boxed.orlop("label", boxed.id[:12], "--format", "json").out == "{}\n"


def test_a_pull_brings_back_a_name_whose_time_is_over(boxed, layout):
    boxed.orlop("label", "box", "containerd.io/gc.expire=2001-02-03T04:05:06Z", "team=sea")
    boxed.pull(layout.source, "--tag", "box")
    boxed.collect()
    assert boxed.orlop("label", "box").out == "team=sea\n"
    boxed.orlop("label", "box", "containerd.io/gc.expire=2001-02-03T04:05:06Z")
    boxed.collect()
    assert names(boxed) == []
