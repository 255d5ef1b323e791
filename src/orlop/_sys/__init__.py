"""The kernel, called directly: mounts, paths below a handle, locks, loop devices, clones."""
