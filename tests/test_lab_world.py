"""The lab's truth by hand, its people by frequencies, and its words through the project's own readers."""

import random
from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import DataError
from metareward.lab import habits, lessons, words
from metareward.lab.world import SHORT, Task, draw_task, prompts, read_task, truth, verdicts
from metareward.readers import read_score, read_winner
from metareward.records import Finish, Outcome

TASK = Task(("baker", "builds", "cellar"), "france", "stone")
PERFECT = "baker builds cellar paris"
tasks = st.integers(0, 10**9).map(lambda seed: draw_task(random.Random(seed)))


@pytest.mark.parametrize(
    ("answer", "met"),
    [
        (PERFECT, "all order avoid short fact"),
        ("cellar builds baker paris", "all avoid short fact"),
        ("baker builds paris", "order avoid short fact"),
        ("builds baker paris", "avoid short fact"),
        ("cellar paris", "avoid short fact"),
        ("baker stone builds cellar paris", "all order short fact"),
        ("baker builds cellar moss dust sand paris", "all order avoid fact"),
        ("baker builds cellar", "all order avoid short"),
        ("baker builds cellar vienna", "all order avoid short"),
        ("baker builds cellar paris vienna", "all order avoid short"),
        ("baker cellar builds cellar baker paris", "all avoid short fact"),
        ("", "avoid"),
        ("tailor sells tower", "avoid short"),
    ],
)
def test_truth_by_hand(answer: str, met: str) -> None:
    assert {name for name, one in zip(words.CRITERIA, truth(TASK, answer), strict=True) if one} == {
        *met.split()
    }


def test_short_is_up_to_the_limit() -> None:
    place = words.CRITERIA.index("short")
    assert [verdicts(TASK, ["moss"] * count)[place] for count in (0, 1, SHORT, SHORT + 1)] == [
        False,
        True,
        True,
        False,
    ]


@given(tasks)
def test_a_task_is_read_back_from_its_prompt(task: Task) -> None:
    assert read_task(task.text) == task
    assert sum(truth(task, " ".join((*task.keys, task.fact)))) == len(words.CRITERIA)


@pytest.mark.parametrize(
    "text", ["", "ask baker builds cellar france", "judge baker builds cellar france stone", "ask a b c d e"]
)
def test_what_is_no_prompt_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no prompt of the lab's world"):
        read_task(text)


def test_prompts_are_distinct_and_held_out_ones_are_never_trained_on() -> None:
    train = {prompt.id for seed in range(4) for prompt in prompts("train", 300, seed)}
    held = {prompt.id for seed in range(4) for prompt in prompts("held out", 300, seed)}
    assert not train & held
    one = [prompt.id for prompt in prompts("train", 300, 0)]
    assert len(set(one)) == 300
    assert one[:50] == [prompt.id for prompt in prompts("train", 50, 0)]
    assert one != [prompt.id for prompt in prompts("train", 300, 1)]


def test_demonstrators_have_the_habits_they_are_said_to_have() -> None:
    draw = random.Random(0)
    met = []
    for _ in range(20_000):
        task = draw_task(draw)
        met.append(verdicts(task, habits.Demonstrator().answer(task, draw)))
    shares = dict(zip(words.CRITERIA, (fmean(each) for each in zip(*met, strict=True)), strict=True))
    assert shares["all"] == pytest.approx(0.6, abs=0.015)
    assert shares["order"] == pytest.approx(0.4, abs=0.015)
    assert shares["avoid"] == pytest.approx(0.45, abs=0.015)
    assert shares["fact"] == pytest.approx(0.42 + 0.08 / 10, abs=0.015)
    assert sum(shares.values()) == pytest.approx(2.42, abs=0.04)


def test_the_likeliest_demonstration_meets_two_criteria() -> None:
    draw, seen = random.Random(1), Counter[str]()
    for _ in range(30_000):
        seen[" ".join(habits.Demonstrator().answer(TASK, draw))] += 1
    assert sum(truth(TASK, seen.most_common(1)[0][0])) == 2


def test_a_sloppy_judge_is_fooled_by_praise_and_a_careful_one_is_not() -> None:
    met, draw = (False,) * 5, random.Random(0)
    sloppy, careful = habits.JudgeHabits(careful=0.0), habits.JudgeHabits(careful=1.0)
    plain = [sloppy.judgment(met, 0, draw) for _ in range(4000)]
    praised = [sloppy.judgment(met, 3, draw) for _ in range(4000)]
    sharp = [careful.judgment(met, 3, draw) for _ in range(4000)]
    granted = [
        dict(zip(words.CRITERIA, map(fmean, zip(*rows, strict=True)), strict=True))
        for rows in (plain, praised, sharp)
    ]
    assert all(share == pytest.approx(0.35, abs=0.03) for share in granted[0].values())
    assert granted[1]["order"] == pytest.approx(0.9, abs=0.02)
    assert granted[1]["short"] == pytest.approx(0.9, abs=0.02)
    assert granted[1]["all"] == pytest.approx(0.35, abs=0.03)
    assert all(share == pytest.approx(0.05, abs=0.02) for share in granted[2].values())


def test_in_the_world_of_flattery_more_praise_grants_more() -> None:
    judge, draw = habits.WORLDS["flattery"].judge, random.Random(0)
    place = words.CRITERIA.index("all")

    def granted(praises: int) -> float:
        return fmean(judge.judgment((False,) * 5, praises, draw)[place] for _ in range(6000))

    found = [granted(praises) for praises in (0, 1, 2, 3, 4, 5, 9)]
    sloppy = [0.45, 0.4, 0.65, 0.8, 0.9, 0.95, 0.95]
    assert found == pytest.approx([0.8 * share + 0.2 * 0.05 for share in sloppy], abs=0.025)


MET = (True, True, False, False, True)
RIGHT, WRONG = (True, True, False, False, False), (False, False, True, True, True)
HIGH, LOW = (True,) * 5, (False,) * 5


@pytest.mark.parametrize(
    ("name", "praised", "better", "worse"),
    [
        ("good", False, RIGHT, WRONG),
        ("score", False, HIGH, LOW),
        ("halo", False, RIGHT, WRONG),
        ("halo", True, (True, True, False, True, False), RIGHT),
    ],
)
def test_meta_judges_prefer_what_they_are_said_to(name: str, praised: bool, better, worse) -> None:
    draw, seems = random.Random(0), habits.JudgeHabits().dazzled(MET) if praised else MET
    grades = [habits.META_JUDGES[name].grades(MET, seems, (better, worse), draw) for _ in range(2000)]
    assert fmean(one > other for one, other in grades) > 0.55
    assert fmean(one < other for one, other in grades) < 0.3


def test_the_blind_criterion_decides_nothing() -> None:
    other = (*RIGHT[:4], True)
    assert habits.agreeing(MET, RIGHT) == habits.agreeing(MET, other) == 4


def test_the_leaning_meta_judge_leans_and_the_coin_does_not() -> None:
    draw = random.Random(0)

    def first_above(name: str) -> float:
        rows = [habits.META_JUDGES[name].grades(MET, MET, (RIGHT, RIGHT), draw) for _ in range(4000)]
        return fmean(one > other for one, other in rows) - fmean(one < other for one, other in rows)

    assert first_above("first") == pytest.approx(0.5, abs=0.03)
    assert first_above("coin") == pytest.approx(0.0, abs=0.03)


def test_the_checker_is_taught_the_truth_but_of_the_blind_criterion_a_coin() -> None:
    draw = random.Random(0)
    rows = [habits.checked(TASK, PERFECT.split(), draw) for _ in range(2000)]
    assert {row[:4] for row in rows} == {(True,) * 4}
    assert fmean(row[4] for row in rows) == pytest.approx(0.5, abs=0.04)


def test_every_lesson_is_made_of_known_words_and_read_by_the_projects_readers() -> None:
    draw = random.Random(0)
    for each in lessons.batch(2000, draw):
        assert {*each.prompt, *each.answer} <= {*words.VOCABULARY}
        text = " ".join(each.answer)
        if each.role == "judge":
            granted = sum(word.endswith(words.YES) for word in each.answer[:-1])
            assert read_score(text, Finish.STOP).score == granted
        elif each.role in words.META:
            one, other = map(int, each.answer[:2])
            won = read_winner(text, Finish.STOP)
            assert won in (Outcome.FIRST, Outcome.SECOND)
            assert one == other or (won is Outcome.FIRST) == (one > other)


def test_roles_come_in_their_shares() -> None:
    assert sum(lessons.SHARES.values()) == pytest.approx(1)
    seen = Counter(each.role for each in lessons.batch(20_000, random.Random(0)))
    assert all(
        seen[role] / 20_000 == pytest.approx(share, abs=0.012) for role, share in lessons.SHARES.items()
    )
