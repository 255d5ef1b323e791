"""Streams that we compress, tested and unpacked by the programs whose formats they are."""

import subprocess

import pytest

from orlop.compression import Compressor
from support.marks import needs_tools

pytestmark = needs_tools("gzip", "zstd")

DATA = b"".join(b"%d: a line\n" % (n * n) for n in range(100_000))


@pytest.mark.parametrize("data", [b"", DATA], ids=["nothing", "much"])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_the_program_of_the_format_takes_it(name, data):
    compressor = Compressor(name)
    stream = compressor.feed(data) + compressor.close()
    for options in (["--quiet", "--test"], ["--quiet", "--decompress", "--stdout"]):
        done = subprocess.run([name, *options], input=stream, check=True, capture_output=True)
        assert done.stderr == b""
    assert done.stdout == data
