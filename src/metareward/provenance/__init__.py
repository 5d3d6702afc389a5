"""What a run ran with, session by session: versions, code, hardware, config, data, model, outcome."""

from metareward.provenance.machine import environment, gpus
from metareward.provenance.records import Record, at_home, records
from metareward.provenance.sessions import Session, supervision_of

__all__ = ["Record", "Session", "at_home", "environment", "gpus", "records", "supervision_of"]
