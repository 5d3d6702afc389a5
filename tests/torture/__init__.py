"""Thousands of faults and dozens of real kills, each followed by a resume that must change nothing."""
