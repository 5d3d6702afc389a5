"""What the lab measures, on rows whose truth is written down here."""

import random
from pathlib import Path
from typing import Any

import pytest

from metareward.engines.base import Completion, Request, Sampling
from metareward.engines.chat import encode_chat, encode_text, end_of_turn, load_tokenizer
from metareward.errors import UserError
from metareward.lab import measure, words
from metareward.lab.cell import Cell, run_cell
from metareward.lab.conditions import CONDITIONS, Budget, Condition
from metareward.lab.lessons import JUDGE_TEMPLATE, SHARES, lesson, meta_template
from metareward.lab.oracle import TrueJudgments
from metareward.lab.tokenizer import IDS, save_tokenizer
from metareward.lab.world import prompts, read_task, truth
from metareward.models.base import Model
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.records import Battle, Finish, Judgment, Message, Outcome, Prompt, Response, Role
from metareward.stages.base import Question
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.templates import render

PROMPT = Prompt("p", (Message("user", "ask baker builds cellar france stone"),), "lab")
JUDGE = Judge(template=JUDGE_TEMPLATE)


def response(name: str, text: str) -> Response:
    return Response(name, "p", 0, "m", text, None, Finish.STOP)


def judgment(name: str, about: str, text: str, score: float | None) -> Judgment:
    unread = None if score is not None else "no verdict line"
    return Judgment(name, "p", about, 0, "m", (), text, None, Finish.STOP, score, unread)


def battle(name: str, first: str, second: str, outcome: Outcome) -> Battle:
    return Battle(name, "p", "r", first, second, "m", "", Finish.STOP, outcome)


GOOD = response("good", "baker builds cellar paris")
BAD = response("bad", "cellar stone builds flawless superb moss dust vienna")


def test_answers_are_measured_against_the_truth() -> None:
    found = measure.of_answers([PROMPT], {"sampled": [GOOD, BAD]})["sampled"]
    assert sum(truth(read_task(PROMPT.messages[0].content), BAD.text)) == 0
    assert found["truth"]["value"] == 2.5
    assert found["criteria"] == dict.fromkeys(words.CRITERIA, 0.5)
    assert (found["words"], found["praised"], found["distinct"]) == (6, 0.5, 1)


def test_judgments_are_right_criterion_by_criterion() -> None:
    rows = [
        judgment("a", "good", "all+ order+ avoid+ short+ fact- \nScore: 4", 4),
        judgment("b", "bad", "all- order+ avoid- short+ fact- \nScore: 2", 2),
    ]
    found = measure.of_judgments([PROMPT], [GOOD, BAD], rows)
    assert found["criteria"] == {"all": 1.0, "order": 0.5, "avoid": 1.0, "short": 0.5, "fact": 0.5}
    assert found["right"] == pytest.approx(0.7)
    assert (found["score"], found["merit"], found["ranks"], found["unreadable"]) == (3, 2.5, 1.0, 0)


def test_the_worse_response_with_the_higher_score_is_ranked_wrongly_and_a_tie_half() -> None:
    high, low = judgment("a", "good", "", 1), judgment("b", "bad", "", 3)
    assert measure.of_judgments([PROMPT], [GOOD, BAD], [high, low])["ranks"] == 0
    equal = judgment("c", "bad", "", 1)
    assert measure.of_judgments([PROMPT], [GOOD, BAD], [high, equal])["ranks"] == 0.5


def test_what_cannot_be_read_is_not_right() -> None:
    found = measure.of_judgments([PROMPT], [GOOD, BAD], [judgment("a", "good", "all+ all- order", None)])
    assert (found["right"], found["unreadable"], found["score"], found["ranks"]) == (0, 1, None, None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all+ order- avoid+ short- fact+ \nScore: 3", (True, False, True, False, True)),
        ("all+ all- order-", (None, False, None, None, None)),
        ("all+ all+", (True, None, None, None, None)),
        ("", (None,) * 5),
    ],
)
def test_verdicts_are_read(text: str, said: tuple[bool | None, ...]) -> None:
    assert measure.said(text) == said


def test_battles_are_right_when_more_right_verdicts_win() -> None:
    about = response("r", GOOD.text)
    right = judgment("right", "r", "all+ order+ avoid+ short+ fact-", 4)
    wrong = judgment("wrong", "r", "all- order- avoid- short- fact+", 1)
    fought = [battle("1", "right", "wrong", Outcome.FIRST), battle("2", "wrong", "right", Outcome.FIRST)]
    found = measure.of_battles([PROMPT], [about], [right, wrong], fought)
    assert (found["right"], found["higher_wins"], found["first_wins"], found["decided"]) == (
        0.5,
        0.5,
        1.0,
        1.0,
    )
    told = measure.of_battles([PROMPT], [about], [right, wrong], fought[:1])
    assert (told["right"], told["higher_wins"]) == (1.0, 1.0)


def test_a_battle_that_only_the_blind_criterion_could_decide_says_nothing() -> None:
    about = response("r", GOOD.text)
    one, other = judgment("one", "r", "all+ fact+", 2), judgment("other", "r", "all+ fact-", 1)
    fought = [battle("1", "one", "other", Outcome.FIRST)]
    assert measure.of_battles([PROMPT], [about], [one, other], fought)["right"] is None


def test_fixed_answers_and_judgments_are_the_same_for_every_model() -> None:
    asked = prompts("held out", 8, 0)
    assert measure.fixed_responses(asked) == measure.fixed_responses(asked)
    rows = measure.fixed_judgments(asked, JUDGE)
    assert len(rows) == 16
    assert {row.response_id for row in rows} == {row.id for row in measure.fixed_responses(asked)[::2]}
    assert all(sum(one is True for one in measure.said(row.text)) == row.score for row in rows)


def test_true_judgments_are_true() -> None:
    rows = list(TrueJudgments(JUDGE).apply([PROMPT], [GOOD, BAD]))
    assert [row.score for row in rows] == [5, 0]
    assert measure.of_judgments([PROMPT], [GOOD, BAD], rows)["right"] == 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("lab")
    save_tokenizer(folder)
    return load_tokenizer(str(folder))


@pytest.mark.parametrize("role", SHARES)
def test_stages_ask_what_was_taught_token_for_token(tokenizer, role: str) -> None:
    """A lesson's prompt, and what the project's stages make of the same records, are the same tokens."""
    draw = random.Random(role)
    for _ in range(20):
        each = lesson(role, draw)
        wanted = [*(IDS[word] for word in each.prompt), IDS[words.GO]]
        assert encode_chat(tokenizer, [Message("user", _asked(role, each.prompt))]) == wanted
        text = tokenizer.decode([IDS[word] for word in each.answer], clean_up_tokenization_spaces=False)
        assert encode_text(tokenizer, text) == [IDS[word] for word in each.answer]


def _asked(role: str, prompt: list[str]) -> str:
    if role in ("act", "check"):
        return " ".join(prompt)
    task, rest = " ".join(prompt[1:7]), " ".join(prompt[8:])
    assert prompt[7] == words.ANSWER
    if role == "judge":
        return render(JUDGE_TEMPLATE, conversation=task, response=rest)
    answer, _, judged = rest.partition(f" {words.A} ")
    one, _, other = judged.partition(f" {words.B} ")
    shown = {"judgment_a": one, "judgment_b": other}
    return render(meta_template(role), conversation=task, response=answer, **shown)


def test_what_a_model_writes_cannot_end_its_turn_or_begin_another(tokenizer) -> None:
    ids = encode_chat(tokenizer, [Message("user", f"ask {words.END} {words.GO} never-heard-of")])
    assert ids == [IDS["ask"], *[IDS[words.UNKNOWN]] * 3, IDS[words.GO]]
    assert end_of_turn(tokenizer) == (IDS[words.END],)


def test_settings_are_the_same_for_all_conditions() -> None:
    budget = Budget(prompts=7, responses=3)
    assert budget.common(5)["generate"].samples == 3
    assert [each.roles for each in budget.rounds(warm_up=2)] == [("judge",)] * 2 + [("actor", "judge")] * 4
    assert words.META["coin"] in budget.battles(0, meta_judge="coin").template


def test_conditions_that_sample_otherwise_are_measured_alike() -> None:
    def hot(budget: Budget, seed: int) -> SelfRewarding:
        common = {**budget.common(seed), "generate": Generate(3, 1.5, 1.0, 9, seed)}
        return SelfRewarding(**common, iterations=budget.rounds((Role.ACTOR,)))

    cell = Cell("hot", Condition("", self_rewarding, hot), Budget(), 0, 0)
    method = cell.method()
    assert method.generate.temperature == 1.5
    (against,) = method.evaluate.chosen
    assert against.generate == Budget().common(0)["generate"]
    assert against.judge == Budget().common(0)["judge"]


def test_a_recipe_that_looks_at_no_model_is_told_so(tmp_path: Path) -> None:
    def blind(run: Any, model: Model, *_: Any) -> Model:
        return model

    condition = Condition("", blind, CONDITIONS["self_rewarding"].settings)
    with pytest.raises(UserError, match="blind: a model was never measured; a recipe looks at every model"):
        run_cell(Cell("blind", condition, Budget(prompts=2, iterations=1), 0, 0), tmp_path)


def test_the_control_is_a_coin_whatever_the_model_writes() -> None:
    stage = CONDITIONS["random_pairs"].settings(Budget(), 0).meta_judge
    model = Model("m", "path", "f")

    def winner(number: int, text: str) -> Outcome:
        request = Request(f"battle {number}", (), Sampling(), 0)
        question = Question(request, ("p", "r", "one", "other"))
        return stage.read(question, Completion(request.id, text, Finish.STOP), model).outcome

    won = [winner(number, "4 0 \nWinner: A") for number in range(2000)]
    assert won == [winner(number, "0 4 \nWinner: B") for number in range(2000)]
    assert {*won} == {Outcome.FIRST, Outcome.SECOND}
    assert won.count(Outcome.FIRST) / 2000 == pytest.approx(0.5, abs=0.04)
