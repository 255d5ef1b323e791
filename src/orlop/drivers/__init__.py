"""What mounts: EROFS images over their tars, overlays, binds; and what works here."""

from orlop.drivers.bind import mount_bind
from orlop.drivers.erofs import mount_erofs
from orlop.drivers.idmapped import mount_idmapped
from orlop.drivers.mounts import MountHandle, is_mounted, unmount
from orlop.drivers.overlay import mount_overlay
from orlop.drivers.probe import Capabilities, Capability, probe, probe_erofs

__all__ = [
    "Capabilities", "Capability", "MountHandle", "is_mounted", "mount_bind", "mount_erofs",
    "mount_idmapped", "mount_overlay", "probe", "probe_erofs", "unmount",
]  # fmt: skip
