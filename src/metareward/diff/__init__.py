"""What differs between two runs, or two sessions of one, and what that invalidated."""

from metareward.diff.compare import Change, Difference, compare
from metareward.diff.sides import Side, side, two_sides
from metareward.diff.steps import StepChange

__all__ = ["Change", "Difference", "Side", "StepChange", "compare", "side", "two_sides"]
