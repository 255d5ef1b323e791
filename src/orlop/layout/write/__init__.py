"""Writing images into local places: layouts, archives of them, and directories of skopeo's form."""

from orlop.layout.write.named import NamedImage
from orlop.layout.write.oci import LayoutTarget
from orlop.layout.write.open import TargetOptions, open_target

__all__ = ["LayoutTarget", "NamedImage", "TargetOptions", "open_target"]
