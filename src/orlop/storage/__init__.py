"""Layers and what is derived from them, stacks of layers, and mounts that are counted."""
