"""Where umoci 0.4.7 or podman 4.3.1 show something else than the specification says, or nothing.

Each case quotes what decides, and says what a person would expect to see.
"""

import re
import tarfile
from dataclasses import dataclass

import pytest

from orlop.errors import UnsupportedError
from orlop.storage.mountable import DRIVERS
from orlop.tree.dump import iter_lines
from support.corners import ACL, CAPABILITY, CASES, MTIME, D, F, H, L, layers_of, pax, xattrs
from support.images import ImageBuilder, device, directory, fifo
from support.marks import needs_root
from support.views import below

pytestmark = needs_root


@dataclass
class Disagreement:
    """A case, the sentence that decides, which peers do otherwise, and what must be seen.

    What is seen is told as by `orlop.tree.dump`, without owner 0:0 and unremarkable times.
    """

    sentence: str
    peers: str
    layers: list
    seen: str


LOWER_ONLY = (
    "Whiteout files MUST only apply to resources in lower/parent layers. Files that are present in "
    "the same layer as a whiteout file can only be hidden by whiteout files in subsequent layers."
)
ATTRIBUTES = (
    "If the entry and the existing path are both directories, then the existing path's attributes "
    "MUST be replaced by those of the entry in the changeset."
)
PRESERVED = (
    "Where supported, MUST include file attributes for Additions and Modifications include: "
    "Modification Time (mtime), …, Extended Attributes (xattrs)"
)
IN_ALL_OTHER_CASES = (
    "In all other cases, the implementation MUST do the semantic equivalent of the following: "
    "removing the file path, recreating the file path, based on the contents and attributes of the "
    "changeset entry"
)


def value(text):
    return text.encode("utf-8", "surrogateescape").hex()


DISAGREEMENTS = {
    "whiteout-after-what-is-new": Disagreement(
        LOWER_ONLY,
        "podman with vfs removes it, with overlay it refuses the image",
        CASES["whiteout-after-what-is-new"],
        """
        / d 0755
        /d d 0755
        /d/old f 0644 3
        /d/sub d 0755
        /d/sub/deep f 0644 4
        """,
    ),
    "whiteout-after-a-new-directory": Disagreement(
        LOWER_ONLY,
        "podman refuses the image, umoci gives the directory another time",
        CASES["whiteout-after-a-new-directory"],
        """
        / d 0755
        /d d 0700
        /d/new f 0644 3
        /f f 0644 5
        """,
    ),
    "opaque-last": Disagreement(
        LOWER_ONLY,
        "umoci gives the directory below another time",
        CASES["opaque-last"],
        """
        / d 0755
        /d d 0755
        /d/new f 0644 3
        /d/sub d 0755
        /d/sub/x f 0644 0
        /f f 0644 5
        """,
    ),
    "twice-in-a-layer": Disagreement(
        "Layer Changesets MUST NOT include duplicate entries for file paths in the resulting tar "
        "archive. Whoever reads one takes the last, as tar does.",
        "podman refuses the image",
        CASES["twice-in-a-layer"],
        """
        / d 0755
        /a f 0644 6
        /b d 0711
        """,
    ),
    "attributes-replaced": Disagreement(
        ATTRIBUTES,
        "podman with vfs keeps extended attributes of the lower layer",
        CASES["attributes-replaced"],
        f"""
        / d 0755
        /d d 2711 2:9 1500000000.000000000 xattr:user.b={value("3")}
        /d/x f 0644 0
        """,
    ),
    "times-of-parents": Disagreement(
        "A tar archive is then created which contains only this changeset: a directory that has no "
        "entry has not changed, nor has its mtime.",
        "podman gives the directories the time of the pull",
        CASES["times-of-parents"],
        """
        / d 0755
        /d d 0755
        /d/sub d 0755
        /d/sub/deep f 0644 4
        /d/sub/new f 0644 0
        /f f 0644 5
        """,
    ),
    "acls-that-are-inherited": Disagreement(
        PRESERVED,
        "podman with vfs loses the lower layer's",
        CASES["acls-that-are-inherited"],
        f"""
        / d 0755
        /d d 0755 xattr:system.posix_acl_default={value(ACL)}
        /d/f f 0640 1
        /d/g f 0604 1
        /d/l l 0777 -> f
        /d/new d 0755
        /d/p p 0644
        /d/sub d 0711
        """,
    ),
    "capability-of-a-hard-link": Disagreement(
        PRESERVED,
        "podman gives the second name its owner again, whereupon Linux drops the capability",
        CASES["capability-of-a-hard-link"],
        f"""
        / d 0755
        /a f 0755 5:0 1 links=2 xattr:security.capability={value(CAPABILITY)}
        /b = /a
        """,
    ),
    "far-times": Disagreement(
        PRESERVED,
        "umoci overflows after 2262; podman makes it 1970, and so all before 1970",
        [
            [
                F("2286", mtime=9_999_999_999),
                pax(F("1969"), mtime="-1.25"),
                pax(F("1910"), mtime="-1893456000"),
                pax(F("1970"), mtime="0"),
            ]
        ],
        """
        / d 0755
        /1910 f 0644 0 -1893456000.000000000
        /1969 f 0644 0 -2.750000000
        /1970 f 0644 0 0.000000000
        /2286 f 0644 0 9999999999.000000000
        """,
    ),
    "missing-parents": Disagreement(
        "No attributes are given for parents that have no entry: orlop's are always the same.",
        "umoci and podman give them the time of the pull",
        [[F("a/b/c", b"c")], [D("a/b", 0o700), F("x/y", b"y")]],
        """
        / d 0755
        /a d 0755 0.000000000
        /a/b d 0700
        /a/b/c f 0644 1
        /x d 0755 0.000000000
        /x/y f 0644 1
        """,
    ),
    "forward-links": Disagreement(
        "Hardlinks are possible with all file types except directories. No order is demanded: a "
        "link may come before what it names.",
        "umoci and podman refuse the image",
        [[H("a", "z"), H("b", "a"), F("z", b"z"), D("d"), H("d/x", "d/y"), L("d/y", "z")]],
        """
        / d 0755
        /a f 0644 1 links=3
        /b = /a
        /d d 0755
        /d/x l 0777 links=2 -> z
        /d/y = /d/x
        /z = /a
        """,
    ),
    "file-as-parent": Disagreement(
        IN_ALL_OTHER_CASES,
        "umoci refuses the image, as does podman with vfs",
        [[F("a", b"a"), L("b", "nowhere")], [F("a/b", b"b")]],
        """
        / d 0755
        /a d 0755 0.000000000
        /a/b f 0644 1
        /b l 0777 -> nowhere
        """,
    ),
    "device-of-overlay": Disagreement(
        "Character devices are files like others; 0:0 means something to overlay only.",
        "podman with overlay shows nothing there",
        [[device("a", 0, 0), F("b", b"b")], [device("b", 0, 0)]],
        """
        / d 0755
        /a c 0644 dev=0:0
        /b c 0644 dev=0:0
        """,
    ),
    "xattrs-of-overlay": Disagreement(
        PRESERVED,
        "podman with overlay obeys them, umoci drops them",
        [[D("d"), F("d/kept", b"x")], [xattrs(D("d"), trusted__overlay__opaque="y")]],
        f"""
        / d 0755
        /d d 0755 xattr:trusted.overlay.opaque={value("y")}
        /d/kept f 0644 1
        """,
    ),
    "xattrs-of-libarchive": Disagreement(
        "LIBARCHIVE.xattr.NAME: the name in percent-encoding, the value in base64 (libarchive, "
        "tar(5)).",
        "umoci and podman know only SCHILY.xattr",
        [[pax(F("a"), LIBARCHIVE__xattr__user__caf="aGVsbG8")]],
        f"""
        / d 0755
        /a f 0644 0 xattr:user.caf={value("hello")}
        """,
    ),
    "xattrs-that-linux-does-not-keep": Disagreement(
        PRESERVED,
        "umoci and podman refuse user attributes of symbolic links and pipes",
        [
            [
                xattrs(
                    F("f"),
                    com__apple__quarantine="q",
                    system__nfs4_acl="n",
                    btrfs__compression="zstd",
                    user__kept="yes",
                ),
                xattrs(L("l", "f"), user__note="of a symbolic link"),
                xattrs(fifo("p"), user__note="of a pipe"),
            ]
        ],
        f"""
        / d 0755
        /f f 0644 0 xattr:user.kept={value("yes")}
        /l l 0777 -> f
        /p p 0644
        """,
    ),
}


def told(root):
    """The tree as text, without what is the same for most."""
    lines = (
        re.sub(rf" {MTIME // 1000}\d\d\d\.0+(?= |$)", "", line.replace(" 0:0", "", 1))
        for line in iter_lines(root)
    )
    return "\n".join(lines)


def written(text):
    return "\n".join(line.strip() for line in text.strip().splitlines())


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("case", DISAGREEMENTS)
def test_the_specification_decides(case, driver, tmp_path, orlop_shows):
    expected = DISAGREEMENTS[case]
    builder = ImageBuilder(tars=layers_of({"case": expected.layers}))
    found = orlop_shows(builder.write(tmp_path).source, driver)
    assert told(below(found.tree, "case")) == written(expected.seen), expected.sentence


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_opaque_root(driver, tmp_path, orlop_shows):
    """An opaque whiteout hides all children of its directory, be it the root."""
    builder = ImageBuilder().layer(D("a"), F("a/b"), F("c"))
    builder.layer(directory("./", 0o711), F(".wh..wh..opq"), F("d", b"new"))
    found = orlop_shows(builder.write(tmp_path).source, driver).tree
    assert list(found.children) == [b"d"]
    assert found.mode == 0o40711


@pytest.mark.parametrize("driver", DRIVERS)
def test_global_headers(driver, tmp_path, orlop_shows):
    """The records of a global header shall affect all files that follow it (POSIX, pax)."""
    records = {"mtime": "1500000000.5", "uid": "77", "SCHILY.xattr.user.all": "yes"}
    builder = ImageBuilder()
    head = tarfile.TarInfo.create_pax_global_header(records)
    own = pax(F("own"), uid="5")
    builder.raw_layer(head + layers_of({"case": [[F("a", b"a"), own]]})[0])
    found = below(orlop_shows(builder.write(tmp_path).source, driver).tree, "case")
    assert {name: (node.uid, node.mtime_ns) for name, node in found.children.items()} == {
        b"a": (77, 1_500_000_000_500_000_000),
        b"own": (5, 1_500_000_000_500_000_000),
    }
    assert all(node.xattrs == {b"user.all": b"yes"} for node in found.children.values())


@pytest.mark.parametrize("name", ["security.capability", "system.posix_acl_access"])
def test_attributes_that_linux_refuses(name, tmp_path, orlop_shows):
    """What cannot be written out is told by name, with what to do."""
    entry = pax(F("a"), **{f"SCHILY.xattr.{name}": "nonsense"})
    layout = ImageBuilder(tars=layers_of({"case": [[entry]]})).write(tmp_path)
    for driver in ("overlay", "directory"):
        with pytest.raises(UnsupportedError, match=f"case/a: xattr {name} cannot be set") as caught:
            orlop_shows(layout.source, driver)
        assert caught.value.hint
