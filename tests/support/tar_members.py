"""Members of tar archives made by hand, so that they can be wrong in every way."""

from orlop.digest import Digest
from orlop.tar import TarScanner

USTAR = b"ustar\x0000"
GNU = b"ustar  \0"
V7 = bytes(8)
END = bytes(1024)
SOURCE = Digest("sha256:" + "ab" * 32)


def octal(number, width=8):
    return b"%0*o\0" % (width - 1, number)


def checksum(block):
    return sum(block[:148]) + 8 * 32 + sum(block[156:])


def header(
    name=b"file",
    kind=b"0",
    size=0,
    *,
    mode=0o644,
    uid=0,
    gid=0,
    mtime=0,
    link=b"",
    magic=USTAR,
    major=0,
    minor=0,
    prefix=b"",
    tail=None,
    **raw,
):
    """A header block; `raw` gives fields as bytes, `tail` all from 345 on."""
    block = bytearray(512)

    def put(offset, width, value):
        block[offset : offset + width] = value.ljust(width, b"\0")[:width]

    put(0, 100, name)
    put(100, 8, raw.get("mode_field", octal(mode)))
    put(108, 8, raw.get("uid_field", octal(uid)))
    put(116, 8, raw.get("gid_field", octal(gid)))
    put(124, 12, raw.get("size_field", octal(size, 12)))
    put(136, 12, raw.get("mtime_field", octal(mtime, 12)))
    put(156, 1, kind)
    put(157, 100, link)
    put(257, 8, magic)
    put(329, 8, raw.get("major_field", octal(major)))
    put(337, 8, raw.get("minor_field", octal(minor)))
    put(345, 167, tail if tail is not None else prefix)
    put(148, 8, raw.get("checksum_field", b"%06o\0 " % checksum(block)))
    return bytes(block)


def padded(data):
    return data + bytes(-len(data) % 512)


def member(name=b"file", data=b"", kind=b"0", **fields):
    return header(name, kind, len(data), **fields) + padded(data)


def record(keyword, value):
    body = b" " + keyword + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def pax(*records, kind=b"x"):
    body = b"".join(record(*each) if isinstance(each, tuple) else each for each in records)
    return member(b"PaxHeaders/file", body, kind)


def long_name(name, kind=b"L"):
    return member(b"././@LongLink", name + b"\0", kind, magic=GNU)


def scan(*parts, source=SOURCE, end=END, **options):
    scanner = TarScanner(source, **options)
    return scanner.feed(b"".join(parts) + end) + scanner.close()


def scan_one(*parts, **options):
    (entry,) = scan(*parts, **options)
    return entry
