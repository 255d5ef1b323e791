import pytest

from orlop.errors import InvalidDocumentError, LimitExceededError, UnsupportedError
from orlop.spec.layout import MAX_LAYOUT_SIZE, ImageLayout


def test_layout_of_the_specification_is_read_and_written():
    raw = b'{"imageLayoutVersion":"1.0.0"}'
    assert ImageLayout.decode(raw) == ImageLayout()
    assert ImageLayout().encode() == raw


def test_additional_fields_are_kept():
    raw = b'{"imageLayoutVersion":"1.0.0","other":[1]}'
    assert ImageLayout.decode(raw).encode() == raw


@pytest.mark.parametrize("version", ["1.1.0", "2.0.0", ""])
def test_other_versions_are_refused_by_name(version):
    with pytest.raises(UnsupportedError, match="1\\.0\\.0"):
        ImageLayout.decode(b'{"imageLayoutVersion":"%s"}' % version.encode())


@pytest.mark.parametrize(
    "raw", [b"", b"{}", b"[]", b'{"imageLayoutVersion":1}', b'{"imagelayoutversion":"1.0.0"}']
)
def test_other_files_are_refused(raw):
    with pytest.raises(InvalidDocumentError):
        ImageLayout.decode(raw)


def test_layout_file_is_short():
    raw = b'{"imageLayoutVersion":"1.0.0"}'.ljust(MAX_LAYOUT_SIZE)
    assert ImageLayout.decode(raw) == ImageLayout()
    with pytest.raises(LimitExceededError):
        ImageLayout.decode(raw + b" ")
