"""Filesystem images, from bytes to bytes: a plan, a writer, a reader, a check."""
