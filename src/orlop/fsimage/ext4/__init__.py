"""ext4: whole disks with a tree in them, which Linux mounts for reading and writing.

Images have the features that Linux since 4.14 and e2fsck take without a word, and that `resize2fs`
needs to make them larger, mounted or not. Two that `mke2fs` would choose are left out:
metadata_csum wants a CRC-32C of every inode and of every block of directories and trees, for which
Python has no fast code. The descriptors of groups have checksums nevertheless (uninit_bg), which
also say what of the inode tables was never used; `tune2fs -O metadata_csum` adds the others later.
64bit is for filesystems over 16 TiB, which these are not.
"""

from orlop.fsimage.ext4.options import Ext4Options, WrittenExt4
from orlop.fsimage.ext4.write import measure_ext4, write_ext4

__all__ = ["Ext4Options", "WrittenExt4", "measure_ext4", "write_ext4"]
