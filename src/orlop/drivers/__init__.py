"""What mounts: EROFS images over their tars, overlays, binds; and what works here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.drivers.bind import mount_bind
    from orlop.drivers.erofs import mount_erofs
    from orlop.drivers.idmapped import mount_idmapped
    from orlop.drivers.mounts import MountHandle, is_mounted, unmount
    from orlop.drivers.overlay import mount_overlay
    from orlop.drivers.probing import Capabilities, Capability, probe, probe_erofs
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.drivers.bind": "mount_bind",
            "orlop.drivers.erofs": "mount_erofs",
            "orlop.drivers.idmapped": "mount_idmapped",
            "orlop.drivers.mounts": "MountHandle is_mounted unmount",
            "orlop.drivers.overlay": "mount_overlay",
            "orlop.drivers.probing": "Capabilities Capability probe probe_erofs",
        }
    )

__all__ = [
    "Capabilities", "Capability", "MountHandle", "is_mounted", "mount_bind", "mount_erofs",
    "mount_idmapped", "mount_overlay", "probe", "probe_erofs", "unmount",
]  # fmt: skip
