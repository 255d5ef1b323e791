"""`orlop pull`, `images`, `inspect` and `rm`."""

import json
import re
import time

import pytest

from orlop.cli.main import main
from support.images import ImageBuilder, file

NAME = "docker.io/library/box:latest"


def test_pull_prints_the_id_alone_on_standard_output(empty, layout):
    done = empty.orlop("pull", layout.source, "--tag", "box")
    assert done.code == 0
    assert (
        done.out == f"{json.loads(layout.blob(layout.manifest).read_text())['config']['digest']}\n"
    )
    assert done.err == f"{NAME} (linux/amd64)\n"


@pytest.mark.parametrize("option", ["--quiet", "-q"])
def test_a_quiet_pull_says_nothing_else(empty, layout, option):
    done = empty.orlop("pull", layout.source, option)
    assert done.out.startswith("sha256:")
    assert done.out.count("\n") == 1
    assert done.err == ""


def test_a_pull_without_a_tag_is_named_after_its_place(empty, layout):
    empty.pull(layout.source)
    assert [image["name"] for image in empty.images()] == ["localhost/layout:box"]
    assert empty.orlop("cat", "layout:box", "/etc/hostname").out == "box\n"


@pytest.mark.parametrize("jobs", ["0", "65", "-1"])
def test_a_number_of_jobs_out_of_range_is_wrong_usage(empty, layout, jobs):
    empty.orlop("pull", layout.source, "--jobs", jobs).check_failure(2, "jobs")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no/such:dir:x:y"], 2),
        (["oci:/nowhere"], 3),
        (["UPPER"], 2),
        (["oci:"], 2),
        (["box", "--platform", "a/b/c/d/e"], 2),
        (["oci:/nowhere", "--tag", "?"], 2),
    ],
)
def test_pulls_that_cannot_be(empty, arguments, code):
    empty.orlop("pull", *arguments).check_failure(code)


def test_the_table_of_images(filled):
    heading, row = filled.orlop("images").out.splitlines()
    assert heading.split() == ["NAME", "ID", "PLATFORM", "SIZE", "PULLED"]
    assert row.split()[:3] == [NAME, filled.id[7:19], "linux/amd64"]
    assert row.endswith(("just now", "ago"))


def test_images_as_json(filled):
    (image,) = json.loads(filled.orlop("images", "--format", "json").out)
    assert set(image) == {
        "name", "id", "platform", "digest", "size", "labels", "created_at_ns", "updated_at_ns",
    }  # fmt: skip
    assert (image["name"], image["id"]) == (NAME, filled.id)
    assert isinstance(image["size"], int)
    assert image["created_at_ns"] <= image["updated_at_ns"] <= time.time_ns()


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["name~=/one/"], ["one"]),
        (["labels.team==sea"], ["two"]),
        (["labels.team"], ["one", "two"]),
        (["labels.team!=sea,size>1"], ["one"]),
        (["size>1GiB"], []),
        (["updatedat<1h"], []),
        (["updatedat>1h"], ["one", "two"]),
        (["platform==linux/amd64"], ["one", "two"]),
        (["labels.team==land", "labels.team==sea"], ["one", "two"]),
    ],
)
def test_images_are_chosen_by_filters(empty, layout, filters, found):
    for name, team in (("one", "land"), ("two", "sea")):
        empty.pull(layout.source, "--tag", name)
        empty.orlop("label", name, f"team={team}")
    options = [word for text in filters for word in ("--filter", text)]
    out = empty.orlop("images", *options, "--format", "json").out
    names = [image["name"] for image in json.loads(out)]
    assert names == [f"docker.io/library/{name}:latest" for name in found]


def test_a_filter_that_is_none_is_wrong_usage(empty, filled):
    for store in (empty, filled):
        done = store.orlop("images", "--filter", "name=box")
        done.check_failure(2, "column 5")
        assert "write ==" in done.err


def test_a_field_that_is_misspelt_is_wrong_usage(empty, filled):
    """To the library it is absent: `nmae!=box` would choose every image."""
    for store in (empty, filled):
        done = store.orlop("images", "--filter", "size>1", "--filter", "name,nmae!=box")
        done.check_failure(2, "column 6: there is no field 'nmae'")
        assert "target.digest" in done.err


def test_quiet_images_are_ids_once_each(empty, layout):
    image_id = empty.pull(layout.source, "--tag", "one")
    empty.pull(layout.source, "--tag", "two")
    assert empty.orlop("images", "--quiet").out == f"{image_id}\n"


def test_no_images_at_all(empty, layout):
    empty.pull(layout.source)
    empty.orlop("rm", "layout:box")
    assert empty.orlop("images").out.split() == ["NAME", "ID", "PLATFORM", "SIZE", "PULLED"]
    assert json.loads(empty.orlop("images", "--format", "json").out) == []
    assert empty.orlop("images", "-q").out == ""


def test_without_a_store_nothing_is_listed_or_made(empty):
    assert empty.orlop("images", "--format", "json").out == "[]\n"
    assert empty.orlop("images", "-q").out == ""
    assert empty.orlop("mount", "--format", "json").out == "[]\n"
    assert empty.orlop("gc").out == "nothing to free\n"
    for command in (["df"], ["mount", "box"], ["umount", "box"], ["rm", "box"], ["ls", "box"]):
        empty.orlop(*command).check_failure(3, "no store at")
    assert not empty.root.exists()


def names_of(store):
    digits = store.id[7:]
    return [
        NAME,
        "box",
        "box:latest",
        "library/box",
        "docker.io/library/box",
        store.id,
        digits,
        digits[:12],
        f"sha256:{digits[:5]}",
        digits[:2],
    ]


@pytest.mark.parametrize("number", range(10))
def test_an_image_has_many_names(filled, number):
    name = names_of(filled)[number]
    assert json.loads(filled.orlop("inspect", name, "--format", "json").out)["id"] == filled.id
    assert filled.orlop("cat", name, "/etc/hostname").out == "box\n"
    assert filled.orlop("ls", name, "/etc").out == "hostname\n"


def test_an_image_is_named_by_the_digest_of_its_manifest_too(filled, layout):
    found = json.loads(filled.orlop("inspect", layout.manifest["digest"], "--format", "json").out)
    assert found["id"] == filled.id


@pytest.mark.parametrize("name", ["nothing", "box:other", "f" * 64, "sha256:" + "0" * 64, "", "?"])
@pytest.mark.parametrize("command", [["inspect"], ["rm"], ["ls"], ["mount"]])
def test_names_that_mean_nothing(filled, name, command):
    filled.orlop(*command, name).check_failure(3, f"no image is called {name!r}")


@pytest.fixture
def ambiguous(empty, tmp_path):
    """A store with two images whose IDs begin with the same digit, and that digit."""
    found = {}
    for number in range(17):
        builder = ImageBuilder(config={"author": str(number)}).layer(file("same", b"x"))
        layout = builder.write(tmp_path / f"image-{number}")
        image_id = json.loads(layout.blob(layout.manifest).read_text())["config"]["digest"]
        found.setdefault(image_id[7], []).append((layout, image_id))
    digit, twins = next((key, value) for key, value in found.items() if len(value) > 1)
    for number, (layout, _) in enumerate(twins[:2]):
        empty.pull(layout.source, "--tag", f"twin-{number}")
    return empty, digit, [image_id for _, image_id in twins[:2]]


def test_a_prefix_that_fits_several_images(ambiguous):
    store, digit, ids = ambiguous
    for command in (["inspect", digit], ["ls", digit], ["cat", digit, "/same"], ["rm", digit]):
        done = store.orlop(*command)
        done.check_failure(1, f"'{digit}' fits 2 images")
        assert all(image_id[:19] in done.err for image_id in ids)
        assert "give more digits" in done.err
    assert len(store.images()) == 2


def test_a_name_goes_before_a_prefix(empty, tmp_path):
    one = ImageBuilder(config={"author": "1"}).layer(file("one", b"1")).write(tmp_path / "one")
    two = ImageBuilder(config={"author": "2"}).layer(file("two", b"2")).write(tmp_path / "two")
    prefix = empty.pull(one.source, "--tag", "first")[7:11]
    empty.pull(two.source, "--tag", prefix)
    assert empty.orlop("ls", prefix).out == "two\n"
    assert empty.orlop("ls", f"sha256:{prefix}").out == "one\n"


def test_inspect_as_json_has_the_documents(filled, layout):
    found = json.loads(filled.orlop("inspect", "box", "--format", "json").out)
    assert set(found) == {
        "name", "id", "digest", "target", "manifest_digest", "platform", "size", "labels",
        "created_at_ns", "updated_at_ns", "names", "manifest", "config",
    }  # fmt: skip
    assert found["digest"] == found["target"]["digest"]
    assert found["digest"] == found["manifest_digest"] == layout.manifest["digest"]
    assert found["manifest"] == json.loads(layout.blob(layout.manifest).read_text())
    assert found["config"]["config"]["Cmd"] == ["sh", "-c", "true"]
    assert found["config"]["rootfs"]["diff_ids"] == layout.diff_ids


def test_inspect_for_people(filled, layout):
    out = filled.orlop("inspect", "box").out
    lines = dict(line.split(":", 1) for line in out.splitlines())
    facts = {key: value.strip() for key, value in lines.items()}
    assert facts["name"] == NAME
    assert facts["id"] == filled.id
    assert facts["command"] == '["sh", "-c", "true"]'
    assert facts["environment"] == "A=b"
    assert facts["user"] == "1000"
    assert facts["config label"] == r"kind=box\x1b[31m"
    assert out.count("layer:") == 2
    assert layout.layers[0]["digest"] in out


def test_inspect_shows_what_label_has_set(filled):
    assert filled.orlop("label", "box", "team=sea").code == 0
    assert re.search("^label: +team=sea$", filled.orlop("inspect", "box").out, re.MULTILINE)
    (listed,) = json.loads(filled.orlop("images", "--format", "json").out)
    assert listed["labels"] == {"team": "sea"}


def test_rm_takes_a_name(empty, layout):
    empty.pull(layout.source, "--tag", "one")
    empty.pull(layout.source, "--tag", "two")
    assert empty.orlop("rm", "one").out == "docker.io/library/one:latest\n"
    assert [image["name"] for image in empty.images()] == ["docker.io/library/two:latest"]


def test_rm_of_an_id_with_several_names_lists_them(empty, layout):
    image_id = empty.pull(layout.source, "--tag", "one")
    empty.pull(layout.source, "--tag", "two")
    done = empty.orlop("rm", image_id)
    done.check_failure(1, f"{image_id} has several names")
    assert "docker.io/library/one:latest, docker.io/library/two:latest" in done.err
    assert "--force" in done.err
    assert len(empty.images()) == 2


@pytest.mark.parametrize("option", ["--force", "-f"])
def test_rm_takes_all_names_by_force(empty, layout, option):
    image_id = empty.pull(layout.source, "--tag", "one")
    empty.pull(layout.source, "--tag", "two")
    done = empty.orlop("rm", option, image_id[7:20])
    assert done.out.split() == ["docker.io/library/one:latest", "docker.io/library/two:latest"]
    assert empty.images() == []


def test_rm_of_several_removes_those_that_are_there(empty, layout):
    empty.pull(layout.source, "--tag", "one")
    empty.pull(layout.source, "--tag", "two")
    done = empty.orlop("rm", "one", "missing", "two")
    assert done.code == 3
    assert done.out == "docker.io/library/one:latest\ndocker.io/library/two:latest\n"
    assert done.err.count("error: ") == 1
    assert empty.images() == []


def test_a_name_without_its_host_is_suggested(empty, layout):
    empty.pull(layout.source, "--tag", "127.0.0.1:5000/some/tool:v1")
    for name in ("tool:v1", "some/tool:v1"):
        done = empty.orlop("inspect", name)
        done.check_failure(3, f"no image is called '{name}'")
        assert "hint: say 127.0.0.1:5000/some/tool:v1\n" in done.err


def test_inspect_shows_the_other_names(empty, layout):
    empty.pull(layout.source, "--tag", "one")
    empty.pull(layout.source, "--tag", "two")
    assert "also:          docker.io/library/two:latest\n" in empty.orlop("inspect", "one").out
    found = json.loads(empty.orlop("inspect", "one", "--format", "json").out)
    assert found["names"] == ["docker.io/library/one:latest", "docker.io/library/two:latest"]


def test_an_empty_root_is_refused(capsys):
    assert main(["--root", "", "images"]) == 2
    assert "error: " in capsys.readouterr().err
