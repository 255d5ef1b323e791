"""What an image says of how it is to be run.

Spec: image-spec v1.1, conversion.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from orlop.bundle.options.process import merge_env
from orlop.spec.container import ContainerConfig
from orlop.spec.runtime import WantedUser

if TYPE_CHECKING:
    from orlop.bundle.options.option import SpecOption
    from orlop.spec.config import ImageConfig
    from orlop.spec.runtime import RuntimeSpec

PREFIX: Final = "org.opencontainers.image."
UNSAFE_LABELS: Final = ("run.oci.", "org.systemd.property.")
"""Annotations that runtimes obey: crun writes to files that they name, systemd is told them."""


def image_config(
    config: ImageConfig,
    *,
    volumes: Literal["tmpfs", "ignore"] = "tmpfs",
    unsafe_labels: bool = False,
) -> SpecOption:
    """Take over what an image says: command, environment, user, directory, notes and volumes.

    Every bundle has it as its first option. A label is an annotation, and wins over what is
    derived from other fields.

    Args:
        config: The image's.
        volumes: What its volumes become: each a filesystem in memory, with the image's own files
            in it and gone with the container; or nothing.
        unsafe_labels: Take over labels that runtimes obey, too; else they are left out, and noted.

    Spec: image-spec v1.1, conversion.md, all of it.
    """
    said = config.config or ContainerConfig()

    def apply(spec: RuntimeSpec) -> None:
        process = spec.section("process")
        process["cwd"] = said.working_dir or "/"
        process["env"] = merge_env(said.env, spec.texts("process", "env"))
        process["args"] = [*said.entrypoint, *said.cmd]
        spec.entrypoint = said.entrypoint
        spec.user = WantedUser(said.user)
        notes = _annotations(config, said)
        if not unsafe_labels:
            for key in [key for key in notes if key.startswith(UNSAFE_LABELS)]:
                del notes[key]
                spec.notes.append(f"label {key} is left out: runtimes obey it")
        spec.section("annotations").update(notes)
        if volumes == "tmpfs":
            for volume in said.volumes:
                place = volume if volume.startswith("/") else f"/{volume}"
                spec.add_mount(place, "tmpfs", "tmpfs", ("nosuid", "nodev", "tmpcopyup"))

    return apply


def _annotations(config: ImageConfig, said: ContainerConfig) -> dict[str, str]:
    """The annotations that an image stands for; those that would be empty are left out."""
    platform = config.platform
    implied = {
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "os.version": platform.os_version,
        "os.features": ",".join(platform.os_features),
        "author": config.author or "",
        "created": config.created or "",
        "stopSignal": said.stop_signal,
        "exposedPorts": ",".join(sorted(said.exposed_ports)),
    }
    found = {PREFIX + name: value for name, value in implied.items() if value}
    return {**found, **{key: value for key, value in said.labels.items() if key}}
