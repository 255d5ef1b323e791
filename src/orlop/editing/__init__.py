"""Images edited: layers appended and merged, configs changed, bases exchanged, indexes made."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.editing.config import CLEARABLE, Clearable, ConfigEdit
else:
    from orlop._late import late

    __getattr__, __dir__ = late({"orlop.editing.config": "CLEARABLE Clearable ConfigEdit"})

__all__ = ["CLEARABLE", "Clearable", "ConfigEdit"]
