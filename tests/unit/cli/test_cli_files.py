"""`orlop ls` and `orlop cat`."""

import json
import subprocess
import sys

import pytest

from support.images import ImageBuilder, file

MAIN = "import sys; from orlop.cli.main import main; sys.exit(main())"
BINARY = bytes(range(256)) * 9000
ODD = "odd\\x1b[31mname\\x0a"


def test_ls_names_the_entries_of_a_directory(filled):
    done = filled.orlop("ls", "box")
    assert done.out.splitlines() == [
        "attributes", "binary", "deep", "etc", r"latin-\xe9", "link", "null", ODD, "pipe",
    ]  # fmt: skip
    assert filled.orlop("ls", "box", "/").out == done.out


@pytest.mark.parametrize("path", ["deep", "/deep", "deep/", "/deep/below/..", "//deep/./"])
def test_ls_takes_any_spelling_of_a_path(filled, path):
    assert filled.orlop("ls", "box", path).out.split() == ["below", "note"]


def test_ls_of_a_file_names_it(filled):
    assert filled.orlop("ls", "box", "/etc/hostname").out == "/etc/hostname\n"


@pytest.mark.parametrize("option", ["-l", "--long"])
def test_ls_long(filled, option):
    lines = {line.split()[-1]: line for line in filled.orlop("ls", option, "box").out.splitlines()}
    assert lines["null"].startswith("crw-rw-rw- ")
    assert " 1, 3 " in lines["null"]
    assert lines["deep"].startswith("drwxr-xr-x ")
    assert " link -> etc/hostname" in lines["etc/hostname"]
    assert lines["pipe"].startswith("prw-r--r-- ")
    assert f" {len(BINARY)} " in lines["binary"]
    (line,) = filled.orlop("ls", option, "box", "/etc/hostname").out.splitlines()
    assert " 7:8 " in line
    assert " 4 " in line
    assert "1970-01-0" in line


@pytest.mark.parametrize("option", ["-R", "--recursive"])
def test_ls_recursive(filled, option):
    assert filled.orlop("ls", option, "box", "/deep").out.splitlines() == [
        "deep/below", "deep/below/it", "deep/note",
    ]  # fmt: skip
    everything = filled.orlop("ls", option, "box").out.splitlines()
    assert "etc/hostname" in everything
    assert everything.index("deep") < everything.index("deep/below/it") < everything.index("etc")


def test_ls_as_json(filled):
    entries = json.loads(filled.orlop("ls", "box", "--format", "json").out)
    found = {entry["name"]: entry for entry in entries}
    kinds = {name: entry["type"] for name, entry in found.items()}
    assert kinds["null"] == "character device"
    assert kinds["pipe"] == "fifo"
    assert kinds["deep"] == "directory"
    assert kinds["link"] == "symlink"
    assert kinds["odd\x1b[31mname\n"] == "file"
    assert kinds[r"latin-\xe9"] == "file"
    assert found["link"]["target"] == "etc/hostname"
    assert found["null"]["device"] == [1, 3]
    assert found["attributes"]["xattrs"] == {"user.kind": b"good".hex()}
    (entry,) = json.loads(filled.orlop("ls", "box", "/etc", "--format", "json").out)
    assert entry == {
        "name": "hostname", "type": "file", "mode": "0644", "uid": 7, "gid": 8, "size": 4,
        "mtime_ns": 86400 * 10**9,
    }  # fmt: skip


def test_ls_recursive_and_json_has_paths(filled):
    entries = json.loads(filled.orlop("ls", "-R", "box", "deep", "--format", "json").out)
    assert [entry["name"] for entry in entries] == ["deep/below", "deep/below/it", "deep/note"]


@pytest.mark.parametrize("path", ["/missing", "/etc/hostname/below", "/etc/missing"])
@pytest.mark.parametrize("command", ["ls", "cat"])
def test_paths_that_are_not_there(filled, command, path):
    filled.orlop(command, "box", path).check_failure(3, path)


def test_cat_is_safe_for_bytes(filled):
    command = [sys.executable, "-c", MAIN, *filled.options, "cat", "box", "/binary"]
    assert subprocess.check_output(command) == BINARY


def test_cat_prints_several_files(filled):
    assert filled.orlop("cat", "box", "/link", "deep/note", "/link").out == "box\nnote\nbox\n"


def test_cat_takes_names_that_are_no_text(filled):
    assert filled.orlop("cat", "box", "/latin-\udce9").out == "latin"
    assert filled.orlop("cat", "box", "odd\x1b[31mname\n").out == "odd"


def test_names_in_letters_that_the_terminal_does_not_have(empty, tmp_path):
    layout = ImageBuilder().layer(file("\N{SNOWMAN}", b"cold")).write(tmp_path / "snow")
    empty.pull(layout.source)
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *empty.options, "ls", "snow"],
        env={"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("\\u2603\n", "")


@pytest.mark.parametrize("path", ["/etc", "/", "/null", "/pipe"])
def test_cat_of_no_file(filled, path):
    filled.orlop("cat", "box", path).check_failure(1, f"{path} is no regular file")


def test_cat_prints_what_it_can_and_fails_at_the_end(filled):
    done = filled.orlop("cat", "box", "/etc/hostname", "/missing", "/deep/note")
    with_all = filled.orlop("cat", "box", "/etc/hostname", "/deep/note")
    assert (done.code, done.out) == (3, with_all.out)
    assert done.err.count("error: ") == 1
    assert done.err.startswith("error: '/missing' does not exist")
