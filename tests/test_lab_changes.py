"""`--set`: one setting of one condition or of all that have it, checked as a config is."""

import pytest

from metareward.errors import ConfigError
from metareward.lab.cell import Cell
from metareward.lab.changes import Change, changed, known, read_change
from metareward.lab.conditions import CONDITIONS, Budget
from metareward.records import Role

BUDGET = Budget(prompts=4, iterations=3)
NAMES = ("oracle", "self_rewarding", "meta_rewarding", "judge_first", "combined")


def settings(*given, names=NAMES, seed=0):
    """Settings of each condition after the changes."""
    chosen = {name: CONDITIONS[name] for name in names}
    made = changed(chosen, [read_change(one) for one in given], BUDGET)
    return {name: condition.settings(BUDGET, seed) for name, condition in made.items()}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("dpo.beta=0.2", Change("dpo.beta", 0.2)),
        (" dpo.beta = 2 ", Change("dpo.beta", 2)),
        (
            'meta_rewarding:judge_gate.action="drop judge"',
            Change("judge_gate.action", "drop judge", "meta_rewarding"),
        ),
        ("judge_gate.action=drop judge", Change("judge_gate.action", "drop judge")),
        ("iterations.roles=['actor']", Change("iterations.roles", ["actor"])),
        ("future_guided=false", Change("future_guided", False)),
        ("iterations.rho=auto", Change("iterations.rho", "auto")),
        ("meta_judge_by=a=b", Change("meta_judge_by", "a=b")),
        ("prior=1\nother=2", Change("prior", "1\nother=2")),
    ],
)
def test_what_is_written_is_toml_or_else_a_text(given, wanted):
    assert read_change(given) == wanted


@pytest.mark.parametrize("given", ["dpo.beta", "=3", "a.b.c=1", "", "dpo beta=1"])
def test_another_form_is_an_error_with_an_example(given):
    with pytest.raises(ConfigError, match=r"must be KEY=VALUE .* such as dpo\.beta=0\.2"):
        read_change(given)


def test_all_that_have_a_setting_get_it_and_keep_all_others():
    before, after = settings(), settings("dpo.beta=0.25")
    for name in NAMES:
        assert (before[name].dpo.beta, after[name].dpo.beta) == (0.1, 0.25)
        assert after[name].dpo.learning_rate == before[name].dpo.learning_rate
        assert after[name].generate == before[name].generate


def test_one_condition_alone():
    after = settings("meta_rewarding:dpo.beta=0.25")
    assert {name: each.dpo.beta for name, each in after.items() if each.dpo.beta != 0.1} == {
        "meta_rewarding": 0.25
    }


def test_those_that_have_it_not_are_left_alone():
    after = settings("judge_gate.max_flips=0.5")
    assert after["self_rewarding"] == settings()["self_rewarding"]
    assert after["meta_rewarding"].judge_gate.max_flips == after["combined"].judge_gate.max_flips == 0.5


def test_a_setting_of_iterations_is_set_in_each_of_them():
    after = settings("iterations.rho=0.35")
    assert all([each.rho for each in one.iterations] == [0.35] * 3 for one in after.values())
    roles = [each.roles for each in after["judge_first"].iterations]
    assert roles == [(Role.JUDGE,), (Role.JUDGE,), (Role.ACTOR, Role.JUDGE)], "the rest of them stays"


def test_settings_outside_of_tables_and_of_several_kinds():
    after = settings(
        "prior=1", "meta_judge_by=first", "iterations.rho='auto'", "combined:future_guided=false"
    )
    assert after["meta_rewarding"].prior == 1.0
    assert after["meta_rewarding"].meta_judge_by == "first"
    assert after["oracle"].iterations[0].rho == "auto"
    assert after["combined"].future_guided is False


def test_the_last_of_two_counts_and_seeds_stay_the_comparisons():
    after = settings("dpo.beta=0.2", "oracle:dpo.beta=0.3", seed=7)
    assert (after["oracle"].dpo.beta, after["self_rewarding"].dpo.beta) == (0.3, 0.2)
    assert {one.dpo.seed for one in after.values()} == {7}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "dpo.betta=1",
            r"--set dpo\.betta: none of oracle, .* has such a setting; did you mean 'dpo\.beta'\?",
        ),
        ("dpo.seed=1", "none of oracle"),
        ("judge.template=hello", "none of oracle"),
        ("evaluate.limit=1", "none of oracle"),
        ("iterations=3", r"there are iterations\.epochs"),
        ("nothing.like=1", r"there are answers\.\*, consistency, dpo\.\*, future_guided"),
        ("gated:dpo.beta=1", r"'gated' is not among the chosen conditions \(oracle, self_rewarding"),
        ("oracle:meta_judge_by=first", "none of oracle has such a setting"),
        ("dpo.beta=0,2", r"--set dpo\.beta, in oracle: dpo\.beta must be a number, not '0,2'"),
        ("dpo.beta=-1", "in oracle: .*beta must be"),
        ("iterations.rho=0.7", "in oracle: iterations.rho must be at least 0 and below 0.5"),
        ("meta_judge_by=last", "in meta_rewarding: meta_judge_by must be"),
        ("generate.temperature=1979-05-27", "is a date"),
        (
            "iterations.max_judge_share=0.2",
            "in oracle: .* to set it in one alone, write CONDITION:iterations",
        ),
    ],
)
def test_mistakes_name_the_setting_the_condition_and_what_it_may_be(given, said):
    chosen = {name: CONDITIONS[name] for name in NAMES}
    with pytest.raises(ConfigError, match=said):
        changed(chosen, [read_change(given)], BUDGET)


def test_one_that_is_named_needs_no_advice_to_name_it():
    with pytest.raises(ConfigError) as error:
        settings("oracle:dpo.beta=-1")
    assert "CONDITION:" not in str(error.value)


def test_every_known_key_of_every_condition_can_be_set_to_what_it_is():
    for name in ("oracle", "combined"):
        own = CONDITIONS[name].settings(BUDGET, 0)
        for key in known(own):
            part, _, setting = key.partition(".")
            value = getattr(own, part)
            value = value[0] if isinstance(value, tuple) else value
            value = getattr(value, setting) if setting else value
            made = changed({name: CONDITIONS[name]}, [Change(key, _plain(value))], BUDGET)
            again = made[name].settings(BUDGET, 0)
            if part != "iterations":
                assert again == own, key


def _plain(value):
    return [getattr(each, "value", each) for each in value] if isinstance(value, tuple) else value


def test_no_two_conditions_are_the_same_loop():
    """Those that differ in the class of a stage alone count, too: what is random is no Meta-Rewarding."""
    keys = {name: Cell(name, condition, Budget(), 0, 0).key for name, condition in CONDITIONS.items()}
    assert len(set(keys.values())) == len(keys)
