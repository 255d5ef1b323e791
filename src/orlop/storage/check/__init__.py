"""Checking a store and mending it: everything in it held against everything else."""

from orlop.storage.check.checker import check
from orlop.storage.check.fetcher import BlobFetcher
from orlop.storage.check.objects import Objects
from orlop.storage.check.repair import repair
from orlop.storage.check.report import REMEDIES, Finding, Remedy, Repaired, Report

__all__ = [
    "REMEDIES", "BlobFetcher", "Finding", "Objects", "Remedy", "Repaired", "Report", "check",
    "repair",
]  # fmt: skip
