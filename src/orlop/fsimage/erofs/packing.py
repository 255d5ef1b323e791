"""Pack what must not cross a block into blocks, leaving little room unused."""

from __future__ import annotations

from typing import Final

_UNIT_BITS: Final = 5  # what positions are multiples of: 32 bytes, as inodes are


class Packer:
    """Gives out positions, the best fit first: the smallest gap that has the room.

    Args:
        block_bits: log2 of the block size.
        first: Bytes before the first position, a multiple of 32.
    """

    def __init__(self, block_bits: int, first: int) -> None:
        self._units = 1 << block_bits - _UNIT_BITS
        self._end = first >> _UNIT_BITS
        self._gaps: list[list[int]] = [[] for _ in range(self._units + 1)]
        self._widths = 0  # bit n is set where there are gaps of n units

    def place(self, size: int, *, shares: bool) -> int:
        """The position of something.

        Args:
            size: Its bytes.
            shares: Whether all of it must lie in one block; what need not goes into one all the
                same where it is not larger.
        """
        units = -(-size >> _UNIT_BITS)
        if units > self._units:
            assert not shares, "nothing larger than a block lies in one"
            return self._append(units) << _UNIT_BITS
        found = self._widths >> units
        if not found:
            room = -self._end % self._units
            if shares and room < units:
                self._open(self._end, room)
                self._end += room
            return self._append(units) << _UNIT_BITS
        width = units + (found & -found).bit_length() - 1
        gaps = self._gaps[width]
        position = gaps.pop()
        if not gaps:
            self._widths ^= 1 << width
        self._open(position + units, width - units)
        return position << _UNIT_BITS

    @property
    def end(self) -> int:
        """Bytes up to the end of the last thing."""
        return self._end << _UNIT_BITS

    def _append(self, units: int) -> int:
        position = self._end
        self._end += units
        return position

    def _open(self, position: int, units: int) -> None:
        if units:
            self._gaps[units].append(position)
            self._widths |= 1 << units
