"""Models: what one is to a run, the catalogue of known ones, and how a name becomes weights on disk."""

from metareward.models.base import Model
from metareward.models.fetch import get
from metareward.models.origin import origin
from metareward.models.resolve import describe, known, listing, resolve

__all__ = ["Model", "describe", "get", "known", "listing", "origin", "resolve"]
