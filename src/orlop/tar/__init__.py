"""Tar archives, read strictly and as a stream into the entries of a changeset."""

from orlop.tar.limits import TarLimits
from orlop.tar.scan import TarScanner

__all__ = ["TarLimits", "TarScanner"]
