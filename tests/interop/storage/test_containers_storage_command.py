"""`orlop-storage` does what `containers-storage` does: arguments, output, messages, exit codes.

The same words go to both, and what comes back is compared. Where the peer is known to be wrong we
do what makes sense; the tests at the end say where.
"""

import json
import os
import tarfile
from pathlib import Path

import pytest

from support.marks import needs_root, needs_tools
from support.storage_commands import Both

pytestmark = [*needs_tools("containers-storage"), *needs_root]

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
ODD_NAMES = ['we\nird"é\\', "\udcff", "plain"]


def test_making(both):
    both.all(
        "create-layer -i base",
        "create-layer -i base",
        "create-layer -i mid -n m1 -n m2 base",
        "create-layer -i other -n m1",
        "create-layer -i other nothing",
        "create-layer -j -i j1 -n jn -l label base",
        "create-layer -r -j -i ro",
        "createlayer -i old mid",
        "create-layer --id=eq",
        "create-layer --uidmap nothing",
        "create-layer --uidmap 0:1:x",
        "create-layer --hostuidmap --uidmap 0:0:1",
        "create-layer --subuidmap nobody-at-all",
        "create-image -i im -m meta mid",
        f"create-image -j -i im2 -d {EMPTY}",
        "create-image -i im3 -d bogus",
        "create-image -i im3 nothing",
        ("create-image", "-i", "empty", ""),
        "create-container -j -i k1 -m cm im",
        "create-container -i k1 im",
        "create-container -i k2 nothing",
        ("create-container", "-i", "k3", ""),
        "create-container -i k4 --volatile -j empty",
        "create-layer im",
        "create-layer k1",
    )
    both.all(
        "layers",
        "layers -t",
        "layers -j",
        "images",
        "images -q",
        "images -j",
        "containers",
        "containers -j",
        "container k1 k3 nothing",
        "container -j k1 k3",
        "image im im2 nothing",
        "image -j im nothing",
        "layer base mid nothing",
        "layer -j mid",
        "layer nothing",
        f"images-by-digest {EMPTY}",
        f"images-by-digest -j {EMPTY}",
        f"images-by-digest -q {HELLO}",
        f"images-by-digest -j {HELLO}",
        "images-by-digest bogus",
    )


def test_mapped_layers(tmp_path):
    """With overlay the peer maps mounts, and notes no mapping."""
    both = Both(tmp_path, "vfs")
    try:
        both.all(
            "create-layer --uidmap 0:1000:10 --gidmap 0:1000:10 -j -i mapped",
            "layer mapped",
            "layer -j mapped",
            "layer-parent-owners mapped",
            "mount mapped",
            "unmount mapped",
            f"copy {both.place}/hello mapped:/file",
            "changes mapped",
            "diffsize mapped",
            ("create-image", "-i", "empty", ""),
            "layers -j",
            "create-container -j --uidmap 0:1000:10 --gidmap 0:1000:10 -i k5 empty",
            "container -j k5",
            "layers -j",
        )
        owners = []
        for each in (both.peer, both.ours):
            each.change("mapped", lambda path: owners.append(os.stat(f"{path}/file").st_uid))
        assert owners == [1000, 1000]
    finally:
        both.close()


def test_names_that_are_taken_and_unique_prefixes(both):
    both.all(
        "create-layer -i pre1x -n one",
        "create-layer -i pre2x",
        "layer pre",
        "layer pre1",
        "layer one",
        "exists pre pre1 one",
        "create-image -i image1 -n one pre1x",
        "create-image -i image2 -n one",
        "image imag",
        "image image1",
        "delete-layer pre2",
        "exists pre2x",
        "create-container -i cont1 one",
        "get-names one",
        "get-names cont1",
    )


def test_names(both):
    both.all(
        "create-layer -i l -n a",
        "create-image -i i -n a",
        "create-container -i k i",
        "get-names l",
        "get-names -j l",
        "get-names -j k",
        "get-names nothing",
        "add-names -n x -n y i",
        "add-names -j -n z i",
        "add-names -n x k",
        "get-names i",
        "get-names k",
        "add-names -n q nothing",
        "set-names -n k -n k i",
        "get-names -j i",
        "set-names -j i",
        "addnames -n back i",
        "image -j i",
        "create-image -i i2",
        "add-names -n back i2",
        "get-names i",
        "get-names i2",
        "setnames -n l2 l",
        "layers",
    )


def test_metadata(both):
    both.all(
        "create-layer -i l",
        "create-image -i i -m one",
        "create-container -i k -m two i",
        "metadata l i k nothing",
        "metadata -q i k",
        "metadata -j i k l nothing",
        "set-metadata -m three i",
        ("set-metadata", "-m", '<&>"ü\nx', "k"),
        "metadata i k",
        "metadata -j k",
        "set-metadata i",
        "set-metadata -m x nothing",
        f"set-metadata -f {both.place}/hello l",
        "set-metadata -f /nothing l",
        "metadata -q l",
    )


def test_big_data(both):
    hello = f"{both.place}/hello"
    both.all("create-layer -i l", "create-image -i i l", "create-container -i k i")
    for kind, key in (("layer", "l"), ("image", "i"), ("container", "k")):
        both.all(
            f"list-{kind}-data {key}",
            f"list-{kind}-data -j {key}",
            f"list-{kind}-data nothing",
            f"set-{kind}-data -f {hello} {key} one",
            f"set-{kind}-data -f {hello} {key} two/x",
            f"set-{kind}-data -f /nothing {key} one",
            f"set-{kind}-data -f {hello} nothing one",
            (f"set-{kind}-data", "-f", hello, key, ""),
            f"list-{kind}-data {key}",
            f"list-{kind}-data -j {key}",
            f"get-{kind}-data {key} one",
            f"get-{kind}-data nothing one",
            f"{kind} -j {key}",
        )
        assert both.same(f"set-{kind}-data", key, "three", data=b"from stdin\0\xff").code == 0
        both.same(f"get-{kind}-data", key, "three")
        if kind != "layer":
            both.all(
                f"get-{kind}-data-size {key} one",
                f"get-{kind}-data-size {key} nothing",
                f"get-{kind}-data-digest {key} one",
                f"get-{kind}-data-digest {key} nothing",
                f"{kind} {key}",
                f"{kind}s",
                f"{kind}s -j",
            )
    both.all(
        f"set-image-data -f {hello} i manifest",
        "image i",
        "image -j i",
        f"images-by-digest {HELLO}",
        "get-image-data i nothing",
        "get-layer-data l nothing",
        f"get-container-data -f {both.place}/out k one",
        "get-container-dir k",
        "get-container-run-dir k",
        "get-container-dir nothing",
    )
    assert (both.place / "out").read_bytes() == b"hello"


def test_deleting(both):
    both.all(
        "create-layer -i l1",
        "create-layer -i l2 l1",
        "create-layer -i l3 l2",
        "create-layer -i x",
        "create-image -i i1 l2",
        "create-image -i i2 l3",
        "create-container -i k1 i2",
        "delete-layer l1",
        "delete-layer l2",
        "delete-layer l3",
        "delete-layer nothing x",
        "delete-layer -j nothing x",
        "delete-image i2",
        "delete-image -j i2",
        "delete-image -t i2",
        "delete-image nothing",
        "delete-container nothing",
        "delete-container -j k1",
        "delete-image -t i2",
        "exists i2 l3",
        "delete-image -t -j i2",
        "delete-image i2",
        "exists l3 l2",
        "delete-image -j i1",
        "exists l2 l1",
        "create-layer -i y",
        "delete nothing",
        "delete -j y nothing",
        "layers",
        "images",
        "containers",
    )


def test_mounts_are_counted(both):
    both.all(
        "create-layer -i l",
        "create-image -i i l",
        "create-container -i k i",
        "mount l",
        "mount k nothing",
        "mount -j k nothing",
        "mounted l",
        "mounted l k nothing",
        "mounted -j k nothing",
        "mount i",
        "layers -t",
        "shutdown",
        "unmount k",
        "mounted k",
        "unmount -j k",
        "unmount l",
        "unmount l",
        "mounted l",
        "unmount l",
        "unmount nothing",
        "unmount -j nothing",
        "umount k",
        "mount k",
        "mount k",
        "unmount -f k",
        "mounted k",
        "layer-parent-owners l nothing",
        "layer-parent-owners -j l",
        "container-parent-owners k",
        "container-parent-owners -j k",
        "mount k",
        "delete-container k",
        "mounted k",
        "mount --option nosuid l",
        "mount -o nosuid l",
        "unmount l",
    )


def test_tars_and_what_differs(both):
    both.all(
        "create-layer -i l1",
        f"applydiff -f {both.tar} l1",
        "applydiff -f /nothing l1",
        f"applydiff -f {both.tar} nothing",
        "changes l1",
        "changes -j l1",
        "diffsize l1",
        "changes nothing",
        "diffsize nothing",
        "diff nothing",
        "diff -b l1",
        "diff -x l1",
        "create-layer -i l2 l1",
        "changes l2",
        "changes -j l2",
        "diffsize l2",
        f"import-layer -i l3 -n three -f {both.tar} l1",
        f"import-layer -i l3 -f {both.tar}",
        f"import-layer -j -i l4 -f {both.tar}",
        "layer -j l1",
    )
    for each in (both.peer, both.ours):
        each.raw("diff", "-u", "-f", f"{each.place}.tar", "l1")
        assert Path(f"{each.place}.tar").read_bytes() == Path(both.tar).read_bytes()
    both.change("l2", _change_some)
    both.all("changes l2", "changes -j l2", "diffsize l2", "changes l2 l1", "changes l1 l2")
    assert _members(both.peer) == _members(both.ours)
    both.all("create-image -i i l1", "create-container -i k i")
    both.change("k", _change_some)
    layers = [each.layer_of("k") for each in (both.peer, both.ours)]
    assert both.peer("changes", layers[0]) == both.ours("changes", layers[1])
    both.same("container", "k")


def _change_some(path):
    os.unlink(f"{path}/a")
    os.makedirs(f"{path}/d/e")
    for name in ("d/e/new", "plain"):
        with open(f"{path}/{name}", "w") as file:
            file.write("something else")


def _members(command):
    """What is in the tar of what was changed: names and contents."""
    path = f"{command.place}.l2.tar"
    command.raw("diff", "-c", "-f", path, "l2")
    with tarfile.open(path, "r:gz") as tar:
        return sorted(
            (each.name, each.type, each.size, tar.extractfile(each).read() if each.isreg() else b"")
            for each in tar
        )


@pytest.mark.parametrize(
    "junk", [b"sorry, this is not even enough\n", b"no tar at all, though it is long enough\n" * 50]
)
def test_what_is_no_tar_is_refused(both, junk):
    both.all("create-layer -i l")
    assert both.same("applydiff", "l", data=junk).code == 1
    assert both.same("import-layer", "-i", "m", data=junk).code == 1
    both.all("layers", "changes l")


@pytest.mark.parametrize("size", [100, 700, 1500])
def test_a_tar_that_is_cut_short_is_refused(both, size):
    both.all("create-layer -i l")
    data = Path(both.tar).read_bytes()[:size]
    assert both.peer("applydiff", "l", data=data).code == (size != 700)  # the padding of a member
    done = both.ours("applydiff", "l", data=data)
    assert (done.code, done.phrases) == (1, ("unexpected EOF",))
    assert both.ours("changes", "l").out == ""


def test_copying(both, tmp_path):
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "b").write_bytes(b"b")
    (tree / "a").write_bytes(b"a")
    os.chown(tree / "a", 5, 6)
    os.link(tree / "a", tree / "h")
    os.symlink("a", tree / "l")
    both.all(
        "create-layer -i l",
        "create-layer -i m",
        f"copy {tree} l:/deep/down",
        f"copy {tree}/a l:/file",
        f"copy {tree}/l l:link",
        f"copy {tree}/a l:/deep/down",
        f"copy --chown 3:4 {tree} l:/owned",
        f"copy --chown 3 {tree}/a l:/three",
        "copy l:/file nothing:/x",
        f"copy {tree} nothing:/x",
        f"copy {tree}/nothing l:/x",
        "copy l:/deep m:/deep",
        "changes l",
        "changes m",
    )
    assert _all_copied(both.ours) == _all_copied(both.peer)


def _all_copied(command):
    found = []
    for key in ("l", "m"):
        command.change(key, lambda path: found.append(_listing(path)))
    command.raw("copy", "l:/deep/down", f"{command.place}.out")
    return [*found, _listing(f"{command.place}.out")]


def _listing(root):
    found = {}
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[os.path.relpath(path, root)] = (
                oct(status.st_mode),
                status.st_uid,
                status.st_gid,
                status.st_size * name.islower(),
            )[: 4 if not os.path.isdir(path) else 3]
    return found


def test_the_command_line(both):
    both.all(
        "layers --nothing",
        "layers -z",
        "layers -tz",
        "layers --json=maybe",
        "layers --json=0",
        "layers -j=T",
        "layers -tj",
        "create-layer -i",
        "create-layer --id",
        "layers --",
        "--debug=false layers",
    )
    for words in (
        ["nothing"],
        ["create-container"],
        ["create-layer", "a", "--id", "b"],
        ["diff"],
        ["diff", "a", "b", "c"],
        ["layers", "--help"],
        ["layers", "-h"],
        ["--nothing"],
        ["--help"],
        ["-h"],
        [],
    ):
        theirs, ours = both.peer(*words), both.ours(*words)
        assert ours.code == theirs.code, words
        assert ours.phrases == theirs.phrases, words
        first = theirs.out.partition("\n")[0]
        assert first.startswith("Usage: ") or ours.out.startswith(first), words


def test_which_store(both):
    options = both.peer.options[:4]
    for words in (
        ["-s", "nothing", "layers"],
        ["-s", "vfs", "--storage-opt", "c", "layers"],
        ["-s", "vfs", "--storage-opt", "what=x", "layers"],
    ):
        theirs = both.peer(*words, options=options)
        ours = both.ours(*words, options=both.ours.options[:4])
        assert (
            (ours.code, ours.out[:20])
            == (theirs.code, theirs.out[:20])
            == (1, "error initializing: ")
        ), words
    theirs, ours = (json.loads(each("status", "-j").out) for each in (both.peer, both.ours))
    assert ours == theirs[:4]
    assert both.same("wipe", "-j").code == 0


# Where we do otherwise, because the peer is wrong.


def test_a_layer_is_protected_by_whatever_name_it_is_deleted(both):
    """The peer compares the name with the IDs of parents, and finds none."""
    both.all("create-layer -i parent -n name", "create-layer -i child parent")
    for key in ("parent", "name", "paren"):
        done = both.ours("delete-layer", key)
        assert (done.code, "layer has children" in done.phrases) == (1, True)
    assert both.peer("delete-layer", "name").code == 0


def test_a_forced_shutdown_succeeds(both):
    """The peer unmounts, and fails then because something had been mounted; or hangs."""
    both.ours.raw("create-layer", "-i", "l")
    path = both.ours.raw("mount", "l").strip()
    assert both.ours("shutdown", "-f") == both.ours("shutdown", "--force")
    assert both.ours("mounted", "l").out == ""
    assert not os.path.ismount(path)


def test_kinds_are_asked_for_in_json_too(both):
    """The peer says that there is a layer, and fails because it is no image."""
    both.all("create-layer -i l")
    assert both.ours("exists", "-i", "-j", "l").out == '{"l": false}'
    assert both.peer("exists", "-i", "-j", "l").out == '{"l": true}'


def test_what_is_in_use_is_not_deleted_unsafely(both):
    """The peer deletes what others need, and leaves them damaged."""
    both.all("create-layer -i l", "create-image -i i l", "create-container -i k i")
    assert both.ours("delete", "l").code == both.ours("delete", "i").code == 1
    both.same("exists", "l", "i", "k")


def test_check_says_what_is_damaged_and_leaves_mounts_alone(both):
    """The peer's findings are `{}` in JSON, and it unmounts everything when it has checked."""
    ours = both.ours
    for line in ("create-layer -i l", "create-image -i i l", "create-container -i k i"):
        ours.raw(*line.split())
    ours.raw("set-image-data", "-f", f"{both.place}/hello", "i", "item")
    path = ours.raw("mount", "k").strip()
    assert ours("check").code == 0
    for folder, _, names in os.walk(f"{both.place}/ours/g/images/i/data"):
        for name in names:
            os.unlink(os.path.join(folder, name))
    done = ours.run([*ours.options, "check"], b"")
    assert done[0] == 1
    assert 'image i: data item "item": image data item is missing' in done[1]
    assert "image i: " in ours.run([*ours.options, "check", "-j"], b"")[1]
    assert os.path.isdir(path)
    assert "k mounted" in ours("mounted", "k").out
