"""Why is this record here: any record's causes and what came of it, found by its id."""

from metareward.show.explain import Found, explain, explain_in, find
from metareward.show.stories import Story

__all__ = ["Found", "Story", "explain", "explain_in", "find"]
