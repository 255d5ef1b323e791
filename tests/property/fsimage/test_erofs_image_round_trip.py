from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.erofs_images import BLOCK_BITS, make, reading, shown, trees

from orlop.fsimage.erofs import ErofsReader, check_image, make_codec
from orlop.testing.trees import content
from orlop.tree import walk

codecs = st.one_of(
    st.builds(make_codec, st.just("lz4"), level=st.sampled_from([0, 1, 9]),
              extent=st.sampled_from([8192, 65_536])),
    st.builds(make_codec, st.just("zstd"), level=st.sampled_from([1, 9]),
              extent=st.sampled_from([8192, 16_384, 131_072])),
)  # fmt: skip
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def verify(root, store, **options):
    told = []
    image, written = make(root, store.read, progress=told.append, **options)
    check_image(reading(image))
    reader = ErofsReader(reading(image))
    inodes = {}

    def adopt(inode):
        inodes[len(inodes)] = inode
        return store.source, len(inodes) - 1

    again = reader.tree(adopt=adopt)

    def read_again(node):
        if node.segments is not None:
            return bytes(node.size)
        inode = inodes[node.offset]
        data = b"".join(reader.iter_data(inode))
        with reader.open(inode) as stream:
            stream.seek(len(data) // 2)
            assert stream.read(100) == data[len(data) // 2 :][:100]
        return data

    assert shown(again, read_again) == shown(root, lambda node: content(node, store))
    nodes = {id(node): node for _, node in walk(root)}
    assert written.inodes == len(nodes)
    assert sum(told) == sum(node.size for node in nodes.values())
    return image, written


@RELAXED
@given(trees(), st.sampled_from(BLOCK_BITS), st.booleans())
def test_an_image_shows_the_tree_that_it_is_of(tree, block_bits, share):
    """The same names, inodes and contents; and every byte of the image belongs to something."""
    root, store = tree
    image, written = verify(root, store, block_bits=block_bits, share=share)
    assert make(root, store.read, block_bits=block_bits, share=share) == (image, written)


@RELAXED
@given(trees(), st.sampled_from(BLOCK_BITS), st.booleans(), codecs)
def test_a_compressed_image_shows_the_tree_that_it_is_of(tree, block_bits, share, codec):
    """Compressing changes where contents lie, and nothing that is seen of them."""
    root, store = tree
    options = {"block_bits": block_bits, "share": share, "codec": codec}
    image, written = verify(root, store, **options)
    assert make(root, store.read, **options) == (image, written)


@RELAXED
@given(trees(), st.sampled_from(BLOCK_BITS))
def test_sharing_never_costs(tree, block_bits):
    """What is said to be shared is content of files that are equal to others."""
    root, store = tree
    shared, told = make(root, store.read, block_bits=block_bits)
    apart, _ = make(root, store.read, block_bits=block_bits, share=False)
    files = {id(node): node for _, node in walk(root) if node.size}.values()
    distinct = {content(node, store): node.size for node in files}
    assert len(shared) <= len(apart)
    assert told.shared <= sum(node.size for node in files) - sum(distinct.values())
