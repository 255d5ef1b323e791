"""What a container is to be like: options, which are functions that change a `RuntimeSpec`.

    bundler.bundle("debian:12", "web", memory_limit("256M"), host_network(), mine)

They are applied in their order, after what the image says, so that a later one wins.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orlop.bundle.options.image import image_config
    from orlop.bundle.options.isolation import (
        add_capabilities,
        cgroups_path,
        drop_capabilities,
        host_network,
        namespace,
        privileges,
        read_only,
        rootless,
        seccomp,
        user_namespace,
    )
    from orlop.bundle.options.mounts import bind, device, mount, tmpfs
    from orlop.bundle.options.option import SpecOption
    from orlop.bundle.options.process import (
        annotate,
        args,
        command,
        entrypoint,
        env,
        hook,
        hostname,
        oom_score,
        rlimit,
        terminal,
        unset_env,
        user,
        working_dir,
    )
    from orlop.bundle.options.resources import (
        cpu_limit,
        memory_limit,
        pids_limit,
        read_cpus,
        read_memory,
    )
else:
    from orlop._late import late

    __getattr__, __dir__ = late(
        {
            "orlop.bundle.options.image": "image_config",
            "orlop.bundle.options.isolation": "add_capabilities cgroups_path drop_capabilities"
            " host_network namespace privileges read_only rootless seccomp user_namespace",
            "orlop.bundle.options.mounts": "bind device mount tmpfs",
            "orlop.bundle.options.option": "SpecOption",
            "orlop.bundle.options.process": "annotate args command entrypoint env hook hostname"
            " oom_score rlimit terminal unset_env user working_dir",
            "orlop.bundle.options.resources": "cpu_limit memory_limit pids_limit read_cpus"
            " read_memory",
        }
    )

__all__ = [
    "SpecOption", "add_capabilities", "annotate", "args", "bind", "cgroups_path", "command",
    "cpu_limit", "device", "drop_capabilities", "entrypoint", "env", "hook", "host_network",
    "hostname", "image_config", "memory_limit", "mount", "namespace", "oom_score", "pids_limit",
    "privileges", "read_cpus", "read_memory", "read_only", "rlimit", "rootless", "seccomp",
    "terminal", "tmpfs", "unset_env", "user", "user_namespace", "working_dir",
]  # fmt: skip
