"""Layers: made, mounted, compared, changed, and told what they are called."""
