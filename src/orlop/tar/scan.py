"""A tar stream, fed in chunks of any length, as the entries of a changeset.

Read are ustar, old V7, PAX with local and global headers, GNU long names, base-256 numbers and
sparse files of every kind. Bodies of files are passed over: an entry says where its data lie.

Where two readers of tar could see two different archives, the archive is refused:

- an extended header of PAX together with a GNU long name on one member, or two of a kind;
- an extended header whose padding is not zero, since some read on in it;
- data behind a member that is no regular file (a hard link, symlink, directory, device or fifo);
- a name that ends in a slash on a regular file, but for V7, whose directories look so;
- a magic that is none of ustar, GNU and V7, as only some then read a prefix;
- a single zero block that is followed by anything but another one;
- an end inside of a member, its padding included.

A stream that ends on a member's boundary without zero blocks is taken, as all readers do; whoever
has no digest to tell that it was not cut short there asks whether it has `ended`. What follows the
end marker is counted and otherwise ignored: it belongs to the diffID.

A volume label (`V`) is passed over. Other types of GNU (`D`, `M`, `N`) and of Solaris (`X`) are
not supported.

Spec: POSIX.1-2017, pax; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orlop.errors import (
    InvalidLayerError,
    LimitExceededError,
    OrlopError,
    UnsafePathError,
    UnsupportedError,
)
from orlop.tar.entry import REGULAR_KINDS, regular_entry, special_entry
from orlop.tar.extended import EXTENDED_KINDS, ExtendedHeaders
from orlop.tar.header import (
    BLOCK_SIZE,
    GNU_MAGIC,
    ZERO_BLOCK,
    MalformedError,
    TooLargeError,
    UnknownError,
    UnsafeNameError,
    check_sum,
    padding,
    unpack_header,
)
from orlop.tar.limits import ATTRIBUTE_COST, TarLimits
from orlop.tar.member import Member, Memos
from orlop.tar.names import shown
from orlop.tar.pax import decode_text
from orlop.tar.sparse import GnuMap, PaxMap, check_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orlop.digest import Digest
    from orlop.tree import Entry

_ENDLESS: Final = 1 << 100
_DEFAULT_LIMITS: Final = TarLimits()
_VOLUME_LABEL: Final = b"V"


class TarScanner:
    """Reads the headers of one tar stream; after an error it cannot be used any more.

    Args:
        source: What the nodes name as the store of their content.
        limits: Bounds of what the archive may ask.
        whiteouts: Whether `.wh.` names are markers; otherwise they are names like others.

    Attributes:
        size: Bytes seen so far.
    """

    def __init__(
        self,
        source: Digest | None,
        *,
        limits: TarLimits = _DEFAULT_LIMITS,
        whiteouts: bool = True,
    ) -> None:
        self.size = 0
        self._source = source
        self._limits = limits
        self._whiteouts = whiteouts
        self._entries: list[Entry] = []
        self._entries_left = limits.max_entries
        self._metadata_left = limits.max_metadata_size
        self._segments_left = limits.max_segments
        # The stream: pass over `_skip` bytes, gather `_want`, hand them to `_step`.
        self._skip = 0
        self._want = BLOCK_SIZE
        self._step: Callable[[bytes], int] = self._take_header
        self._held = bytearray()
        # The member: where its headers begin and end, and what is known of it.
        self._start = 0
        self._end = 0
        self._name = b""
        self._memos = Memos()
        self._extended = ExtendedHeaders(limits)
        self._extended_kind = b""
        self._extended_size = 0
        self._sparse: tuple[Member, GnuMap | PaxMap] | None = None

    def feed(self, chunk: bytes | memoryview) -> list[Entry]:
        """The entries whose headers are complete with these next bytes of the stream.

        Raises:
            InvalidLayerError: The archive is broken or ambiguous; `where` has the offset.
            UnsafePathError: A path has `..` in it.
            UnsupportedError: A member is of a kind that is not supported.
            LimitExceededError: The archive is over one of the limits.
        """
        self._entries = []
        try:
            self._scan(chunk)
        except MalformedError as error:
            self._step = self._refuse
            raise self._report(error) from None
        return self._entries

    def skip(self, most: int) -> int:
        """Pass over bytes of the stream that hold no header, in the place of feeding them.

        Args:
            most: How many bytes the stream has left.

        Returns:
            How many were passed over; the next chunk begins behind them.
        """
        skipped = min(self._skip, most)
        self._skip -= skipped
        self.size += skipped
        return skipped

    @property
    def ended(self) -> bool:
        """Whether a zero block has said that the archive ends, and not the stream alone."""
        return self._step == self._take_second_zero

    def close(self) -> list[Entry]:
        """The last entries, when the stream ends here and may do so.

        Raises:
            InvalidLayerError: The stream is cut short.
        """
        ended = self._skip > _ENDLESS >> 1
        lone_zero = self._step == self._take_second_zero and not any(self._held)
        between = self._step == self._take_header and not self._skip and not self._held
        if not (ended or lone_zero or (between and not self._extended.pending)):
            raise InvalidLayerError("the archive is cut short", where=f"offset {self.size}")
        return []

    def _scan(self, chunk: bytes | memoryview) -> None:
        start = self.size
        end = len(chunk)
        self.size += end
        held = self._held
        position = self._skip
        while position < end:
            want = self._want
            if not held and position + want <= end:
                unit = bytes(chunk[position : position + want])
                position += want
            else:
                taken = chunk[position : position + want - len(held)]
                position += len(taken)
                held += taken
                if len(held) < want:
                    break
                unit = bytes(held)
                held.clear()
            self._end = start + position
            position += self._step(unit)
        self._skip = position - end

    def _report(self, error: MalformedError) -> OrlopError:
        where = f"offset {self._start}"
        if self._name:
            where += f" ({shown(self._name)})"
        if isinstance(error, UnsafeNameError):
            return UnsafePathError(str(error), where=where)
        if isinstance(error, UnknownError):
            return UnsupportedError(f"{where}: {error}")
        if isinstance(error, TooLargeError):
            value = getattr(self._limits, error.limit)
            return LimitExceededError(f"{where}: {error}", limit=error.limit, value=value)
        return InvalidLayerError(str(error), where=where)

    def _refuse(self, _: bytes) -> int:
        raise MalformedError("the archive was found broken before")

    # Steps: each takes the bytes that it asked for, and returns how many to pass over.

    def _take_header(self, block: bytes) -> int:
        self._start = self._end - BLOCK_SIZE
        self._name = b""
        if block == ZERO_BLOCK:
            return self._take_zero()
        fields = unpack_header(block)
        check_sum(block, fields[4])
        kind = fields[5]
        if kind in EXTENDED_KINDS:
            return self._begin_extended(kind, self._memos.check(fields))
        member = Member(fields, self._memos)
        records: Mapping[bytes, bytes] | None = None
        if self._extended.active:
            records = self._extended.apply(member)
        self._name = member.name
        if kind not in REGULAR_KINDS:
            return self._take_special(member)
        if kind == b"S" or member.sparse:
            return self._begin_sparse(member, block, records)
        self._append_regular(member, member.size, None)
        return member.size + padding(member.size)

    def _take_zero(self) -> int:
        if self._extended.pending:
            raise MalformedError("the archive ends after an extended header")
        self._step = self._take_second_zero
        return 0

    def _take_second_zero(self, block: bytes) -> int:
        if block != ZERO_BLOCK:
            raise MalformedError("a lone zero block stands between members")
        return _ENDLESS

    def _begin_extended(self, kind: bytes, size: int) -> int:
        if size > self._limits.max_header_size:
            raise TooLargeError(f"an extended header has {size} bytes", "max_header_size")
        self._extended_kind = kind
        self._extended_size = size
        if not size:
            return self._take_extended(b"")
        self._step = self._take_extended
        self._want = size + padding(size)
        return 0

    def _take_extended(self, body: bytes) -> int:
        self._step = self._take_header
        self._want = BLOCK_SIZE
        size = self._extended_size
        if body.count(0, size) != len(body) - size:
            raise MalformedError("the padding of an extended header is not zero")
        self._extended.take(self._extended_kind, body[:size])
        return 0

    def _take_special(self, member: Member) -> int:
        if member.sparse:
            raise MalformedError("a sparse map on a member that is no regular file")
        if member.kind == _VOLUME_LABEL and not member.size:
            return 0
        self._append(member, special_entry(member, self._limits, self._whiteouts))
        return 0

    def _begin_sparse(
        self, member: Member, header: bytes, records: Mapping[bytes, bytes] | None
    ) -> int:
        found: GnuMap | PaxMap
        if member.kind == b"S":
            if member.magic != GNU_MAGIC or records:
                raise MalformedError("a sparse file of GNU tar has headers of another format")
            found = GnuMap(header, member.size)
        else:
            assert records is not None
            found = PaxMap(records, member.size, self._segments_left)
            member.name = decode_text(records.get(b"GNU.sparse.name") or member.name, "path")
            self._name = member.name
        self._sparse = (member, found)
        return self._continue_sparse(member, found)

    def _take_map(self, block: bytes) -> int:
        assert self._sparse is not None
        member, found = self._sparse
        found.add(block)
        return self._continue_sparse(member, found)

    def _continue_sparse(self, member: Member, found: GnuMap | PaxMap) -> int:
        if len(found.numbers) > 2 * self._segments_left:
            raise TooLargeError("sparse files have too many pieces", "max_segments")
        if not found.complete:
            self._step = self._take_map
            return 0
        self._step = self._take_header
        self._sparse = None
        self._segments_left -= len(found.numbers) // 2
        segments = check_segments(found.numbers, found.size, found.stored)
        self._append_regular(member, found.size, segments)
        return found.stored + padding(found.stored)

    def _append_regular(
        self, member: Member, size: int, segments: tuple[tuple[int, int], ...] | None
    ) -> None:
        entry = regular_entry(
            member, self._limits, self._whiteouts, self._source, self._end, size, segments
        )
        self._append(member, entry)

    def _append(self, member: Member, entry: Entry) -> None:
        self._entries_left -= 1
        if self._entries_left < 0:
            raise TooLargeError("the archive has too many entries", "max_entries")
        self._metadata_left -= len(member.name) + len(member.link)
        if member.xattrs:
            self._metadata_left -= sum(
                ATTRIBUTE_COST + len(key) + len(member.xattrs[key]) for key in member.xattrs
            )
        if self._metadata_left < 0:
            raise TooLargeError("the archive has too much metadata", "max_metadata_size")
        self._entries.append(entry)
