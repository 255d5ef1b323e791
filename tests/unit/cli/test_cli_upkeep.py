"""`orlop check`, `orlop shutdown` and `orlop wipe`."""

import json

import pytest

from orlop.digest import Digest


@pytest.fixture
def command(empty, layout):
    empty.pull(layout.source, "--tag", "box")
    return empty


def blob_of(command, layout, number=0):
    digest = Digest(layout.layers[number]["digest"])
    return command.root / "blobs" / digest.algorithm / digest.encoded


def spoil(path):
    data = bytearray(path.read_bytes())
    data[50] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def test_nothing_is_wrong(command):
    for options in ((), ("--quick",), ("--repair",), ("--repair", "--force")):
        done = command.orlop("check", *options)
        assert (done.code, done.out, done.err) == (0, "nothing is wrong\n", "")


def test_no_store_is_sound(empty):
    assert empty.orlop("check").out == "nothing is wrong\n"
    assert json.loads(empty.orlop("check", "--format", "json").out)["findings"] == []
    assert not empty.root.exists()


def test_damage_is_told_and_exits_4(command, layout):
    path = blob_of(command, layout)
    spoil(path)
    assert command.orlop("check", "--quick").code == 0
    done = command.orlop("check")
    assert done.code == 4
    assert done.out.splitlines()[0].split() == ["DAMAGE", "OF", "WHAT", "REMEDY"]
    assert f"blob {layout.layers[0]['digest']} has other bytes" in done.out
    assert "fetched again by --repair --fetch" in done.out
    hint = "`orlop check --repair --fetch` fetches again what registries have"
    assert done.err == f"hint: {hint}\n"


def test_damage_as_json(command, layout):
    spoil(blob_of(command, layout))
    done = command.orlop("check", "--format", "json")
    report = json.loads(done.out)
    assert done.code == 4
    assert report["counts"] == {"digest": 1}
    assert report["looked"]["blob"] == 4
    assert report["findings"] == [
        {
            "damage": "digest",
            "subject": "blob",
            "id": layout.layers[0]["digest"],
            "what": f"blob {layout.layers[0]['digest']} has other bytes than its digest says",
            "path": str(blob_of(command, layout)),
            "remedy": "fetch",
        }
    ]


def test_repair_says_what_it_mended_and_what_it_could_not(command, layout):
    spoil(blob_of(command, layout))
    (command.root / "layers/gone").mkdir()
    done = command.orlop("check", "--repair", "--format", "json")
    assert done.code == 4
    said = json.loads(done.out)
    assert [each["damage"] for each in said["mended"]] == ["leftover"]
    assert [each["damage"] for each in said["failed"]] == ["digest"]
    assert "--fetch" in said["failed"][0]["why"]
    assert [each["damage"] for each in said["left"]["findings"]] == ["digest"]
    done = command.orlop("check", "--repair", "--force")
    assert f"removed blob {layout.layers[0]['digest']}\n" in done.out
    assert done.code == 4


def test_what_is_left_behind_is_no_damage(command):
    (command.root / "layers/gone").mkdir()
    done = command.orlop("check")
    assert (done.code, done.err) == (0, "")
    assert "leftover" in done.out
    assert "layers/gone" in done.out
    assert command.orlop("check", "--repair").code == 0
    assert command.orlop("check").out == "nothing is wrong\n"


@pytest.mark.parametrize("option", ["--fetch", "--force"])
def test_how_to_mend_is_said_with_repair_alone(command, option):
    command.orlop("check", option).check_failure(2, "say how to mend")


def test_wiping_is_asked_for_by_force(command):
    command.orlop("wipe").check_failure(2, "removes all images")
    assert len(command.images()) == 1
    done = command.orlop("wipe", "--force")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert command.images() == []
    assert command.files() == {"format.json"}


def test_shutdown_of_nothing(command, tmp_path):
    done = command.orlop("shutdown")
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize("verb", [["shutdown"], ["wipe", "--force"]])
def test_no_store_is_made(empty, verb):
    assert empty.orlop(*verb).code == 0
    assert not empty.root.exists()
