"""What a run ran with, session by session: versions, code, hardware, config, data, model, outcome."""

from metareward.provenance.machine import environment, gpus
from metareward.provenance.records import Record, at_home, config_of, meaning_of, records, steps_of
from metareward.provenance.sessions import Session, supervision_of

__all__ = [
    "Record",
    "Session",
    "at_home",
    "config_of",
    "environment",
    "gpus",
    "meaning_of",
    "records",
    "steps_of",
    "supervision_of",
]
