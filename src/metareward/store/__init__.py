"""Append-only storage of a run's records: immutable, checksummed Parquet parts under content keys."""

from metareward.store.artifact import Artifact, Cost, Manifest
from metareward.store.claim import claim
from metareward.store.places import Ids, Positions
from metareward.store.store import Store
from metareward.store.verify import Finding, verify
from metareward.store.writer import Writer

__all__ = [
    "Artifact",
    "Cost",
    "Finding",
    "Ids",
    "Manifest",
    "Positions",
    "Store",
    "Writer",
    "claim",
    "verify",
]
