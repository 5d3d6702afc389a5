"""A run's data in the form that others read: a dataset folder with a card."""

from metareward.export.dataset import Exported, export_run

__all__ = ["Exported", "export_run"]
