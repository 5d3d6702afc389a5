"""Engines: what answers a request. `base` is the waist; each engine is a file or a few."""
