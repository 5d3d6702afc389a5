"""The family of errors: each says what happened, where, and what to do.

MetarewardError
├── UserError        the user's mistake; the command line exits with 2
│   ├── ConfigError  a setting, a config file, a run directory that belongs to another config
│   ├── DataError    a dataset, a prompt, a malformed line
│   ├── ModelError   a model that is missing, has no chat template, cannot be fetched
│   └── NoPairsError an iteration that left nothing to train on
├── StoreError       a damaged or missing file of a run
└── StepError        a step that could not be finished (training died, no usable pairs, ...)
    └── StallError   nothing moved for too long; the command line exits with 75: run it again
"""


class MetarewardError(Exception):
    """Anything this package raises on purpose. The message is complete: print it and stop."""


class UserError(MetarewardError):
    """Something the user can mend; nothing was lost."""


class ConfigError(UserError):
    """A setting is wrong, or a run directory belongs to another config or process."""


class DataError(UserError):
    """Prompts or other input data cannot be used as they are."""


class ModelError(UserError):
    """A model cannot be found, fetched or used."""


class StoreError(MetarewardError):
    """A stored artifact is damaged, incomplete, or missing."""


class StepError(MetarewardError):
    """A step of a run could not be finished. What it had paid for is kept."""


class StallError(StepError):
    """An engine or a training gave no sign of life for too long and was given up."""


class NoPairsError(UserError):
    """An iteration gave no preference pair; the counts by reason and what to change are in the message."""
