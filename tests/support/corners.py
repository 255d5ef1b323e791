"""Images full of corner cases: what layers may say, each case in a directory of its own.

A case is a list of layers, each a list of members. All cases become one image, whose first layer
is the first of every case, and so on: `layers_of(CASES)` gives its tars. Each case begins with a
layer that has an entry for the directory of the case.
"""

from __future__ import annotations

import tarfile
from copy import copy

from support.images import device, directory, fifo, file, hardlink, opaque, symlink, whiteout

GNU = tarfile.GNU_FORMAT
USTAR = tarfile.USTAR_FORMAT
MTIME = 1_600_000_000


def text(name):
    """A name of any bytes, as tarfile takes it."""
    return name.decode("utf-8", "surrogateescape")


CAPABILITY = "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
ACL = text(
    bytes.fromhex(
        "0200000001000700ffffffff02000500de00000004000500ffffffff10000500ffffffff20000500ffffffff"
    )
)
TRIVIAL_ACL = text(bytes.fromhex("0200000001000600ffffffff04000400ffffffff20000000ffffffff"))


def pax(entry, **records):
    """The member with more PAX records; `__` stands for a dot."""
    entry[0].pax_headers = {
        **entry[0].pax_headers,
        **{key.replace("__", "."): value for key, value in records.items()},
    }
    return entry


def xattrs(entry, **values):
    """The member with extended attributes."""
    return pax(entry, **{f"SCHILY__xattr__{name}": value for name, value in values.items()})


def formatted(form, *members):
    """The members, to be written in this form of tar."""
    return [(info, data, form) for info, data in members]


D, F, L, H, W, O = directory, file, symlink, hardlink, whiteout, opaque  # noqa: E741

SIZES = (0, 1, 511, 512, 513, 4095, 4096, 4097, 12288, 100_001)
FIFTY = "directory-of-fifty-bytes-" * 2
LONG_USTAR = "d" * 80 + "/" + "e" * 90
BASE = [D("d"), D("d/sub"), F("d/old", b"old"), F("d/sub/deep", b"deep"), F("f", b"below")]

CASES = {
    "whiteout-of-a-file": [BASE, [D("d"), W("d/old")]],
    "whiteout-of-a-directory": [BASE, [W("d")]],
    "whiteout-of-nothing": [BASE, [D("d"), W("d/none"), W("none")]],
    "whiteout-after-what-is-new": [BASE, [D("d"), F("d/old", b"new"), W("d/old"), W("f")]],
    "whiteout-before-what-is-new": [BASE, [D("d"), W("d/old"), F("d/old", b"new")]],
    "whiteout-before-a-new-directory": [BASE, [W("d"), D("d", 0o700), F("d/new", b"new")]],
    "whiteout-after-a-new-directory": [BASE, [D("d", 0o700), F("d/new", b"new"), W("d")]],
    "whiteout-of-a-symlink": [[*BASE, L("l", "d")], [W("l")]],
    "whiteout-of-one-of-two-links": [[F("a", b"one"), H("b", "a"), H("c", "a")], [W("a")]],
    "whiteout-twice": [BASE, [W("f")], [F("f", b"again")], [W("f")]],
    "opaque-first": [BASE, [D("d"), O("d"), F("d/new", b"new")]],
    "opaque-last": [BASE, [D("d"), F("d/new", b"new"), D("d/sub"), F("d/sub/x"), O("d")]],
    "opaque-of-nothing": [BASE, [D("new"), O("new"), F("new/x", b"x")]],
    "opaque-that-leaves-nothing": [BASE, [D("d", 0o711), O("d")]],
    "opaque-below-opaque": [BASE, [D("d"), O("d"), D("d/sub"), O("d/sub"), F("d/sub/x")]],
    "opaque-with-whiteout": [BASE, [D("d"), O("d"), W("d/old"), F("d/new")]],
    "odd-markers": [
        [D("d"), F("d/a"), F("d/b"), F("d/c"), F("d/e")],
        [
            D("d"),
            F("d/.wh.a", b"not empty"),
            D("d/.wh.b"),
            L("d/.wh.c", "x"),
            F("d/.wh..wh.plnk", b"of AUFS"),
            H("d/.wh.e", "d/.wh.a"),
        ],
    ],
    "file-to-directory": [BASE, [D("f", 0o750), F("f/x", b"x")]],
    "directory-to-file": [BASE, [F("d", b"a file now")]],
    "directory-to-symlink": [BASE, [L("d", "f")]],
    "file-to-symlink": [BASE, [L("f", "d/old")]],
    "symlink-to-file": [[*BASE, L("l", "f")], [F("l", b"its own")]],
    "symlink-to-directory": [[*BASE, L("l", "d")], [D("l"), F("l/x", b"x")]],
    "symlink-to-symlink": [[L("l", "one")], [L("l", "two")]],
    "fifo-to-file-to-device": [[fifo("x")], [F("x", b"x")], [device("x", 5, 1)]],
    "device-to-directory": [[device("x", 1, 3)], [D("x"), F("x/y")]],
    "hard-links": [
        [D("d"), F("a", b"a" * 5000), H("b", "a"), H("d/c", "b"), F("empty"), H("empty2", "empty")]
    ],
    "hard-links-of-others": [
        [L("l", "nowhere"), H("l2", "l"), fifo("p"), H("p2", "p"), device("n", 1, 3), H("n2", "n")]
    ],
    "hard-link-to-a-lower-layer": [[D("d"), F("d/a", b"below")], [D("d"), H("b", "d/a")]],
    "hard-link-replaced-above": [
        [F("a", b"one"), H("b", "a"), H("c", "a")],
        [F("a", b"two")],
        [F("b", b"three"), H("d", "b")],
    ],
    "hard-link-replaces-a-file": [[F("a", b"a"), F("b", b"b")], [F("a", b"new"), H("b", "a")]],
    "hard-link-through-a-symlink": [
        [
            D("real"),
            F("real/a", b"a", mtime=MTIME),
            L("way", "real"),
            pax(H("b", "way/a"), mtime=f"{MTIME}"),
            pax(H("way/c", "b"), mtime=f"{MTIME}"),
        ]
    ],
    "twice-in-a-layer": [[F("a", b"first"), F("a", b"second"), D("b", 0o700), D("b", 0o711)]],
    "behind-a-symlink": [
        [D("real"), F("real/a", b"a"), L("way", "real")],
        [D("real"), F("way/b", b"b"), W("way/a")],
    ],
    "behind-an-absolute-symlink": [[D("real"), L("way", "/real")], [D("real"), F("way/b", b"b")]],
    "behind-two-symlinks": [
        [D("x"), D("x/real"), L("x/way", "real"), L("on", "x/way")],
        [D("x"), D("x/real"), F("on/b", b"b")],
    ],
    "behind-a-symlink-that-goes-up": [
        [D("x"), D("real"), L("x/way", "../real")],
        [D("real"), F("x/way/b", b"b")],
    ],
    "behind-a-symlink-out-of-the-root": [
        [D("real"), L("way", "../../../../../../../behind-a-symlink-out-of-the-root/real")],
        [D("real"), F("way/b", b"b")],
    ],
    "modes": [
        [F(f"{mode:04o}", b"x", mode) for mode in (0, 1, 0o4755, 0o2755, 0o6711, 0o1644, 0o7777)]
        + [D(f"d{mode:04o}", mode) for mode in (0o0, 0o1777, 0o2775, 0o4711, 0o7777)]
    ],
    "owners": [
        [
            F("nobody", b"x", 0o6755, uid=65534, gid=65534),
            F("high", b"x", uid=2**31, gid=2**32 - 2),
            D("d", uid=100_000, gid=7),
            L("l", "nobody", uid=5, gid=6),
            device("n", 1, 3, uid=2, gid=3, mode=0o660),
            fifo("p", uid=2, gid=3, mode=0o620),
        ]
    ],
    "times": [
        [
            pax(F("ns"), mtime="1700000000.123456789"),
            pax(D("d-ns"), mtime="1700000000.000000001"),
            pax(L("l-ns", "ns"), mtime="1699999999.999999999"),
            pax(fifo("p-ns"), mtime="1600000000.5"),
            F("2040", mtime=2_208_988_800),
            F("2249", mtime=8_835_000_000),
        ]
    ],
    "times-of-parents": [BASE, [W("d/old"), F("d/sub/new")]],
    "attributes-replaced": [
        [xattrs(D("d", 0o700, uid=1), user__a="1", user__b="2"), F("d/x")],
        [xattrs(D("d", 0o2711, uid=2, gid=9, mtime=1_500_000_000), user__b="3")],
    ],
    "xattrs": [
        [
            xattrs(F("f"), user__note="hello", user__long="v" * 2000, user__bytes="\0\x01="),
            xattrs(D("d"), user__note="directory", trusted__note="root only"),
            xattrs(F("ping", b"x", 0o755), security__capability=CAPABILITY),
        ]
    ],
    "acls": [
        [
            xattrs(F("f", mode=0o755), system__posix_acl_access=ACL),
            xattrs(D("d", 0o755), system__posix_acl_default=ACL),
        ]
    ],
    "acls-that-contradict-the-mode": [
        [
            xattrs(F("f", mode=0o4600), system__posix_acl_access=ACL),
            xattrs(D("d", 0o1700), system__posix_acl_access=ACL),
            xattrs(F("trivial", mode=0o600), system__posix_acl_access=TRIVIAL_ACL),
        ]
    ],
    "acls-that-are-inherited": [
        [
            xattrs(D("d", 0o755), system__posix_acl_default=ACL),
            F("d/f", b"f", 0o640),
            D("d/sub", 0o711),
            L("d/l", "f"),
            fifo("d/p"),
        ],
        [xattrs(D("d", 0o755), system__posix_acl_default=ACL), F("d/g", b"g", 0o604), D("d/new")],
    ],
    "set-group-id-directories": [
        [D("d", 0o2775, gid=9), F("d/f", b"f"), D("d/sub", 0o755, gid=7), D("d/sub2", 0o2711)],
        [D("d", 0o2775, gid=9), F("d/g", b"g", gid=3), D("d/new", 0o755)],
    ],
    "locked-directories": [
        [D("d", 0), F("d/f", b"f", 0), D("d/sub", 0o111), F("d/sub/x", b"x")],
        [D("d", 0), F("d/f", b"new", 0)],
    ],
    "xattrs-of-others": [
        [
            xattrs(L("l", "nowhere"), trusted__note="symlink"),
            xattrs(device("n", 1, 3), trusted__note="device"),
            xattrs(fifo("p"), trusted__note="fifo"),
            xattrs(F("owned", b"x", 0o755, uid=5), security__capability=CAPABILITY),
        ]
    ],
    "capability-of-a-hard-link": [
        [xattrs(F("a", b"x", 0o755, uid=5), security__capability=CAPABILITY), H("b", "a")]
    ],
    "many-names": [[D("d"), *(F(f"d/{number}") for number in range(1500))]],
    "devices": [
        [
            device("null", 1, 3, mode=0o666),
            device("disk", 8, 17, tarfile.BLKTYPE, mode=0o660),
            device("large", 4095, 1_048_575),
            device("block", 259, 300, tarfile.BLKTYPE),
        ]
    ],
    "sizes": [[F(str(size), (bytes(range(251)) * 800)[:size]) for size in SIZES]],
    "names": [
        [
            F("with space"),
            F("new\nline"),
            F("tab\t"),
            F("back\\slash"),
            F("-dash"),
            F("." * 3),
            F("ünïcödé"),
            F(text(b"latin-\xe4\xf6\xfc")),
            F(text(b"\xff\xfe")),
            F("*?[x]"),
            F("wh.no-marker"),
            F(".w"),
            F("n" * 255),
            L("l", text(b"to-\xe4")),
        ]
    ],
    "long-names": [
        [D("/".join([FIFTY] * depth)) for depth in range(1, 12)]
        + [
            F("/".join([FIFTY] * 11) + "/file", b"deep"),
            L("long-link", "/".join(["t" * 200] * 15)),
            H("hard", "/".join([FIFTY] * 11) + "/file"),
        ]
    ],
    "gnu": [
        formatted(
            GNU,
            D("d"),
            F("d/" + "g" * 200, b"gnu"),
            L("l" * 150, "t" * 300),
            F("owner", uid=2**24, gid=2**31),
            F(text(b"\xe4\xf6")),
            H("h", "d/" + "g" * 200),
            fifo("p"),
            device("n", 1, 5),
        )
    ],
    "ustar": [
        formatted(
            USTAR,
            D("d" * 80),
            D(LONG_USTAR),
            F(f"{LONG_USTAR}/file", b"ustar"),
            L("l", "d"),
            F("x", b"x"),
            H("y", "x"),
            fifo("p"),
        )
    ],
}


def layers_of(cases, *, root=()):
    """The layers that all these cases make together, as uncompressed tars.

    Args:
        cases: The cases by name.
        root: For each layer, from the first, the entry of the root directory.
    """
    clocks = {name: _Clock() for name in cases}
    tars = []
    for number in range(max(map(len, cases.values()))):
        data = [_bytes(*each) for each in root[number : number + 1]]
        for name, layers in cases.items():
            if number < len(layers):
                members = [directory(name), *(_moved(each, name) for each in layers[number])]
                data += [_bytes(*each, clock=clocks[name]) for each in members]
        tars.append(b"".join(data) + bytes(1024))
    return tars


def _moved(entry, case):
    """The member in the directory of its case, as are the targets of its links."""
    info, *rest = entry
    info = copy(info)
    info.name = f"{case}/{info.name}"
    if info.type == tarfile.LNKTYPE:
        info.linkname = f"{case}/{info.linkname}"
    elif info.type == tarfile.SYMTYPE and info.linkname.startswith("/"):
        info.linkname = f"/{case}{info.linkname}"
    return info, *rest


def _bytes(info, data, form=tarfile.PAX_FORMAT, *, clock=None):
    info = copy(info)
    if clock and not info.mtime and "mtime" not in info.pax_headers:
        info.mtime = clock.moment(info)
    header = info.tobuf(form, "utf-8", "surrogateescape")
    return header + data + bytes(-len(data) % 512)


class _Clock:
    """Gives each member a time of its own, and a hard link that of its target, as archivers do."""

    def __init__(self):
        self._now = MTIME
        self._given = {}

    def moment(self, info):
        self._now += 1
        moment = self._now
        if info.type == tarfile.LNKTYPE:
            moment = self._given.get(info.linkname, moment)
        self._given[info.name] = moment
        return moment
