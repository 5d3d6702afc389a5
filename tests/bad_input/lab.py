"""What can be wrong with a comparison in the lab."""

import pytest

from bad_input.case import Case
from metareward.cli import lab


def no_trl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "find_spec", lambda name: None if name == "trl" else name)


CASES = [
    Case("a condition that is none", "metareward lab --recipes orcale", "--recipes: there is no condition 'orcale'; did you mean "
         "'oracle'?; there are oracle, frozen_judge, … (metareward lab --list says what they are)"),
    Case("no condition", "metareward lab --recipes ,", "--recipes must name at least one condition; metareward lab --list has them"),
    Case("no seed", "metareward lab --seeds 0", "--seeds must be at least 1, or a list such as 0,4,7, not '0'"),
    Case("seeds that are no numbers", "metareward lab --seeds a,b", "--seeds must be whole numbers separated by commas, not 'a,b'"),
    Case("a seed that is too large", "metareward lab --seeds 4294967296,", "--seeds must be in 0 .. 2^32 - 1, not 4294967296"),
    Case("a base model that there is not", "metareward lab --bases 99", "--bases: plain has no base model 99; it has 0, 1, 2"),
    Case("a world that is not there", "metareward lab --world nowhere", "nowhere: no such directory; a world is plain, …, or a "
         "directory of base models"),
    Case("a world without base models", "metareward lab --world .", ".: there is no base model; make one with python -m "
         "metareward.lab.pretrain"),
    Case("a meta-judge that is none", "metareward lab --meta-judge god", "meta_judge must be 'good', … or 'coin', not 'god'"),
    Case("no iteration", "metareward lab --iterations 0", "iterations must be at least 1, not 0"),
    Case("no prompt", "metareward lab --prompts 0", "prompts must be at least 1, not 0"),
    Case("fewer than no processes", "metareward lab --jobs -1", "jobs must be 0 or more, not -1"),
    Case("a setting without a value", "metareward lab --set dpo.beta", "--set 'dpo.beta': must be KEY=VALUE or CONDITION:KEY=VALUE, "
         "such as dpo.beta=0.2 or meta_rewarding:iterations.rho=0.35"),
    Case("a setting that is none", "metareward lab --set dpo.betta=1", "--set dpo.betta: none of oracle, … has such a setting; did "
         "you mean 'dpo.beta'?; there are dpo.batch_size, dpo.beta, …"),
    Case("a setting of other recipes", "metareward lab --recipes oracle --set meta_judge_by=first", "--set meta_judge_by: none of "
         "oracle has such a setting; …"),
    Case("a setting of a condition that was not chosen", "metareward lab --set cream:dpo.beta=1", "--set cream:dpo.beta: 'cream' is "
         "not among the chosen conditions (oracle, …)"),
    Case("a value of another kind", "metareward lab --set dpo.beta=0,2", "--set dpo.beta, in oracle: dpo.beta must be a number, not "
         "'0,2'; to set it in one alone, write CONDITION:dpo.beta=..."),
    Case("a value that cannot be", "metareward lab --recipes oracle --set oracle:iterations.rho=0.7", "--set iterations.rho, in "
         "oracle: iterations.rho must be at least 0 and below 0.5, or 'auto', not 0.7"),
    Case("packages that loops need are missing", "metareward lab", "the lab trains real models and needs trl, not installed here; "
         "pip install 'metareward[train]' brings what is needed", patch=no_trl),
    Case("a file in the place of its directory", "metareward lab --recipes oracle -d file", "file: cannot be used as a run directory: "
         "…; give another --directory", files={"file": ""}),
]  # fmt: skip
