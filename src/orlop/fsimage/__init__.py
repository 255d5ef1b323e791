"""Filesystem images, from bytes to bytes: each format has a plan, a writer, a reader and a check."""
