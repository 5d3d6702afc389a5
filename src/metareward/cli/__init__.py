"""The command line: run, plan, show, models, export. It draws; the rooms before it do the work."""

from metareward.cli.app import main

__all__ = ["main"]
