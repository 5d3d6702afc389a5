"""What a run ran with, session by session: versions, code, hardware, config, data, model, outcome."""

from metareward.provenance.machine import environment, gpus
from metareward.provenance.records import Record, at_home, config_of, meaning_of, records, steps_of
from metareward.provenance.sessions import (
    FAKE,
    MADE_UP,
    Session,
    engine_of,
    engine_said,
    is_fake,
    supervision_of,
)

__all__ = [
    "FAKE",
    "MADE_UP",
    "Record",
    "Session",
    "at_home",
    "config_of",
    "engine_of",
    "engine_said",
    "environment",
    "gpus",
    "is_fake",
    "meaning_of",
    "records",
    "steps_of",
    "supervision_of",
]
