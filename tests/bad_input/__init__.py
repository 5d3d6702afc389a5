"""Everything a user can get wrong: one list, shown by docs/bad-input.md and carried out by the tests."""

from bad_input import command_line, commands, configs, environment, lab, models, prompts, runs, settings
from bad_input.case import Case

GROUPS: dict[str, list[Case]] = {
    "The config file": configs.CASES,
    "Values of settings": settings.CASES,
    "Files of prompts": prompts.CASES,
    "Templates": prompts.TEMPLATES,
    "Models": models.CASES,
    "Run directories": runs.CASES,
    "`show`, `verify`, `export` and the command line": command_line.CASES,
    "Attacks, comparisons and evaluations": commands.CASES,
    "The lab": lab.CASES,
    "The machine": environment.CASES,
}
"""Group -> its cases, in the order of the document."""

ALL = [case for cases in GROUPS.values() for case in cases]
