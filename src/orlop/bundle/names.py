"""What the parts of a store of bundles and of a bundle are called.

    ROOT/                        a plain cache: `DigestStore`, `ImageCache`
      d/sha256/<hex>             by the SHA-256 of a reference, the digest that it stood for
      i/<algorithm>/<hex>        by an image's digest its config, by a diffID an uncompressed layer
      o/                         kept free for layers as directories
      c/<id>/                    a bundle

    BUNDLE/
      config.json                how to run it; written last
      .orlop.json                whose it is, and which places to mount at were made in its files
      rootfs/                    its files, or where they are mounted

Spec: runtime-spec v1.0.2, bundle.md.
"""

from __future__ import annotations

from typing import Final

DIR_DIGESTS: Final = "d"
DIR_IMAGES: Final = "i"
DIR_OVERLAYS: Final = "o"
DIR_CONTAINERS: Final = "c"
DIR_ROOTFS: Final = "rootfs"
FILE_CONFIG: Final = "config.json"
"""The configuration of an image."""
FILE_SPEC: Final = "config.json"
"""The configuration of a bundle."""
FILE_NOTE: Final = ".orlop.json"
"""Whose a bundle is, and the places that were made in its files to mount at."""
MAX_LAYERS: Final = 256
"""Layers that an image may have, unless a cache or bundler is told of another number."""
