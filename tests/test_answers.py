"""Many answers in shares: every planted kind of degenerate one is told, no healthy one is, in any number."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from answer_worlds import CHINESE, DEGENERATE, HEALTHY, made, prose, question, rows
from hostile import hostile
from metareward.answers import alike
from metareward.answers.measure import PROMPTS, SAMPLES, Answers, change, look
from metareward.engines.stopping import Stopping
from metareward.recipes.degenerate import Degenerate, hold
from metareward.records import Finish, Message, Prompt, Response
from metareward.stats.bootstrap import Estimate
from metareward.templates import shipped
from published_data import published
from tokenizer_families import FAMILIES, family

SIZES = (8, 32, 200)
TEMPLATE = shipped("judge")


def failed(answers: Answers, first: Answers | None = None) -> set[str]:
    return {sign.name for sign in hold(Degenerate(), answers, first) if sign.state == "failed"}


def share(answers: Answers, name: str) -> Estimate:
    found = answers.shares[name]
    assert found is not None
    return found


@pytest.mark.parametrize("prompts", SIZES)
@pytest.mark.parametrize("kind", DEGENERATE)
def test_what_does_not_answer_is_told(kind, prompts):
    form, sign = DEGENERATE[kind]
    assert sign in failed(look(*rows(made(form, prompts)), TEMPLATE))


@pytest.mark.parametrize("prompts", SIZES)
@pytest.mark.parametrize("form", HEALTHY)
def test_no_healthy_form_of_answer_raises_anything(form, prompts):
    for seed in range(2):
        for samples, finish in ((1, Finish.STOP), (1 if prompts > 32 else 4, Finish.LENGTH)):
            asked = rows(made(HEALTHY[form], prompts, seed), samples, finish)
            assert not failed(look(*asked, TEMPLATE)), (seed, samples)


@pytest.mark.parametrize("now", HEALTHY)
def test_no_healthy_form_is_degenerate_where_the_first_model_answered_in_prose(now):
    """Another form of answer is a change, and no fault."""
    asked = made(HEALTHY[now], 32)
    first = [(prompt, prose(random.Random(prompt))) for prompt, _ in asked]
    assert not failed(look(*rows(asked)), look(*rows(first)))


@pytest.mark.parametrize("name", FAMILIES)
def test_text_as_the_tokenizers_of_all_families_give_it_back_raises_nothing(name):
    """Blanks in front, letters lost, lower case: none of it makes answers alike, or a header."""
    tokenizer = family(name)
    stopping, spoken = Stopping(tokenizer), []
    for prompt, text in made(HEALTHY["prose"], 32):
        spoken.append((prompt, stopping.text(tokenizer.encode(text, add_special_tokens=False))))
    assert not failed(look(*rows(spoken), TEMPLATE))


@pytest.mark.parametrize("cut", [4, 8, 16])
@pytest.mark.parametrize("form", HEALTHY)
def test_short_answers_that_are_all_cut_off_raise_nothing(form, cut):
    asked = [(prompt, " ".join(text.split(" ")[:cut])) for prompt, text in made(HEALTHY[form], 32)]
    assert not failed(look(*rows(asked, finish=Finish.LENGTH), TEMPLATE))


def test_answers_that_become_one_after_training_are_told_by_what_they_were():
    """Also where every prompt is of one form, and where one short answer may be the right one to each."""
    first = made(HEALTHY["short numbers"], 8)
    now = look(*rows([(prompt, "17") for prompt, _ in first]))
    assert not failed(now), "the prompts are alike: with eight, it may be so"
    assert failed(now, look(*rows(first))) == {"one_answer"}
    assert not failed(look(*rows(first)), look(*rows(first)))


def test_what_rises_is_told_below_its_limit():
    """Loops in nine of twenty are no alarm by themselves; where the first model never loops, they are."""
    draw = random.Random(0)
    first = [(question(draw), prose(draw)) for _ in range(100)]
    now = [
        (prompt, f"{prose(draw, 3, 5)} " * 30 if n % 20 < 9 else text)
        for n, (prompt, text) in enumerate(first)
    ]
    assert not failed(look(*rows(now)))
    assert failed(look(*rows(now)), look(*rows(first))) == {"loops"}
    signs = {sign.name: sign for sign in hold(Degenerate(), look(*rows(now)), look(*rows(first)))}
    rise = signs["loops"].rise
    assert rise is not None
    assert rise.value == pytest.approx(0.45)
    assert rise.lower < 0.45 < rise.upper


def test_shares_by_hand():
    """Two answers to each of four prompts: one prompt has an empty one, one two, so 3 of 8."""
    asked = [
        (f"{word}?", text) for word, text in (("a", ""), ("b", "Fine day."), ("c", "All well."), ("d", "So."))
    ]
    prompts, responses = rows(asked, samples=2)
    blank = [Response("x", prompts[1].id, 1, "m", " \n", None, Finish.STOP)]
    found = look(prompts, [r for r in responses if (r.prompt_id, r.sample) != (prompts[1].id, 1)] + blank)
    assert share(found, "empty").value == 3 / 8
    assert share(found, "empty").n == 4
    assert share(found, "cut_off").value == 0
    assert (found.prompts, found.answers, found.failed) == (4, 8, 0)


def test_sameness_by_hand():
    asked = [
        ("p one", "Same it is"),
        ("p two", "same, it is!"),
        ("p three", "Same it was"),
        ("p four", "Other"),
    ]
    found = look(*rows(asked))
    assert share(found, "repeated").value == 0.5
    assert share(found, "one_answer").value == 0.5
    assert found.answer == "same it is"
    assert found.opening == "same it is"
    assert found.distinct[0] == 5 / 10
    assert found.distinct[1] == 3 / 6
    assert found.distinct[2] == 2 / 3


def test_an_opening_counts_by_prompts():
    draw = random.Random(0)
    asked = [(question(draw), ("Well now that I " if n < 6 else "") + prose(draw)) for n in range(8)]
    found = look(*rows(asked, samples=3))
    assert found.opening == "well now that i"
    assert share(found, "opening").value == 0.75
    assert found.examples["opening"].text.startswith("Well now")


def test_repeats_to_one_prompt_are_not_sameness():
    """Four equal answers to one prompt say nothing of other prompts."""
    found = look(*rows(made(HEALTHY["prose"], 8), samples=4))
    assert share(found, "repeated").value == 0
    assert share(found, "one_answer").value == 0
    assert share(found, "alike").value == 0


def test_packing_finds_what_answers_share():
    draw = random.Random(0)
    apart = look(*rows(made(HEALTHY["prose"], 32))).compression
    alike_ones = look(*rows([(question(draw), CHINESE) for _ in range(32)])).compression
    assert apart is not None
    assert alike_ones is not None
    assert apart > 0.5 > 0.2 > alike_ones


def test_answers_alike_as_far_as_their_prompts_are_no_sign():
    found = look(*rows(made(HEALTHY["sums worked out alike"], 32)))
    assert found.prompts_alike > 0.5
    assert share(found, "alike").value == 0
    apart = [
        (question(random.Random(n)), text)
        for n, (_, text) in enumerate(made(HEALTHY["sums worked out alike"], 32))
    ]
    assert share(look(*rows(apart)), "alike").value > 0.2, "the same answers to prompts unlike each other"


def test_one_prompt_and_none():
    found = look(*rows([("What is it?", "Score: 5")]))
    assert found.shares["alike"] is None
    assert share(found, "verdict").lower < 0.3 < share(found, "verdict").upper == 1
    assert not failed(found), "one prompt is too few"
    nothing = look([], [])
    assert not failed(nothing)
    assert all(one is None for one in nothing.shares.values())
    assert nothing.compression is None
    json.dumps(nothing.as_dict(), allow_nan=False)


def test_prompts_that_ask_for_such_a_thing_are_not_counted():
    asked = [("Grade it: 0 to 5.", "Score: 5")] * 6 + [("What is it?", "Score: 5")] * 4
    found = look(*rows(asked))
    assert share(found, "verdict").n == 4
    assert look(*rows(asked[:6])).shares["verdict"] is None


def test_what_the_engine_could_not_answer_is_left_out_and_counted():
    prompts, responses = rows(made(HEALTHY["prose"], 8))
    lost = [Response(f"f{n}", p.id, 9, "m", "", None, Finish.FAILED, "broke") for n, p in enumerate(prompts)]
    found = look(prompts, [*responses, *lost])
    assert found.failed == 8
    assert found.answers == 8
    assert share(found, "empty").value == 0
    assert look(prompts, lost).shares["empty"] is None


def test_of_very_many_a_fixed_draw_is_looked_at():
    prompts, responses = rows(made(lambda d: (question(d), "Yes."), PROMPTS + 50), SAMPLES + 3)
    found = look(prompts, responses)
    assert (found.prompts, found.answers) == (PROMPTS, PROMPTS * SAMPLES)
    assert look(prompts[::-1], responses[::-1]) == found


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(sorted(HEALTHY | DEGENERATE)))
def test_the_order_of_rows_makes_no_difference(shuffled, kind):
    form = HEALTHY.get(kind) or DEGENERATE[kind][0]
    prompts, responses = rows(made(form, 6), samples=3)
    before = look(prompts, responses, TEMPLATE)
    shuffled.shuffle(prompts)
    shuffled.shuffle(responses)
    after = look(prompts, responses, TEMPLATE)
    assert after == before
    assert after.as_dict() == before.as_dict()


@settings(deadline=None)
@given(st.lists(st.tuples(hostile(), hostile(("assistant\n", "\nuser\n", "the "))), max_size=6))
def test_shares_stay_shares_whatever_is_said(asked):
    found = look(*rows(asked), TEMPLATE)
    for one in filter(None, found.shares.values()):
        assert 0 <= one.lower <= one.value <= one.upper <= 1
    for rise in change(found, found).values():
        assert rise.value == 0
        assert -1 <= rise.lower <= 0 <= rise.upper <= 1
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_huge_answer_is_cut_before_it_is_looked_at():
    prompts, responses = rows(
        [("What is it?", "<|" * 2_000_000), ("And that?", "\x00" * 3_000_000), ("So?", "a" * 10**6)]
    )
    found = look(prompts, responses)
    assert found.answers == 3
    assert len(found.examples["loops"].text) <= 200


def test_changes_are_over_the_prompts_that_both_answered():
    """Eight prompts, all of them empty now; of the four that were there before none was."""
    draw = random.Random(0)
    asked = [(question(draw), prose(draw)) for _ in range(8)]
    prompts, responses = rows(asked)
    now = look(prompts, rows([(p, "") for p, _ in asked])[1])
    found = change(now, look(prompts[:4], responses[:4]))
    assert found["empty"].value == 1
    assert found["empty"].n == 4
    others = look(*rows([(question(draw), prose(draw)) for _ in range(20)]))
    assert change(now, others)["empty"].n == 8, "two samples, where they have no prompts in common"


def test_common_phrases_by_hand():
    """'a b c d e' stands in two of three texts, each of twelve words."""
    texts = [list("abcdepqrstuv"), list("xyabcdez1234"), list("ghijklmnopqr")]
    assert alike.shared(["1", "2", "3"], texts) == [5 / 12, 5 / 12, 0.0]
    assert alike.shared(["1", "1", "3"], texts) == [0.0, 0.0, 0.0], "both of one prompt"
    assert alike.shared(["1", "2", "3"], [text[:11] for text in texts]) == [0.0] * 3, (
        "short, and half of it is other"
    )
    eight = [*"abcdefgh"]
    assert alike.shared(["1", "2"], [[*eight, "i"], [*eight, "j"]]) == [8 / 9, 8 / 9], (
        "short, and nearly all of it"
    )
    assert alike.shared(["1", "2"], [eight[:7], eight[:7]]) == [0.0, 0.0], "too short"


def test_prompts_of_several_turns_are_asked_in_the_last():
    turns = (
        Message("user", "Name a river."),
        Message("assistant", "The Amazon."),
        Message("user", "And where does it end?"),
    )
    prompt = Prompt("p", turns)
    found = look([prompt], [Response("r", "p", 0, "m", "And where does it end?", None, Finish.STOP)])
    assert share(found, "echo").value == 1


@pytest.mark.parametrize(
    "model", ["Meta-Llama-3-8B-Instruct", "alpaca-7b", "gemma-2b-it", "gpt4_1106_preview"]
)
def test_published_answers_raise_nothing(model):
    asked = [row["instruction"] for row in read("alpaca_eval", "instructions.jsonl")]
    said = read("alpaca_eval", "outputs", f"{model}.jsonl")
    _none_fails([(asked[row["i"]], row["output"]) for row in said])


def test_published_reasoning_and_code_raise_nothing():
    solved = read("gsm8k", "test.jsonl")
    _none_fails([(row["question"], row["answer"]) for row in solved])
    _none_fails([(row["question"], row["answer"].rpartition("#### ")[2]) for row in solved])
    written = read("ifeval", "golden_gpt4_20231107.jsonl")
    _none_fails([(row["prompt"], row["response"]) for row in written])
    questions = read("arena_hard", "questions_v0.1.jsonl")
    prompts = {row["uid"]: row["prompt"] for row in questions}
    answers = read("arena_hard", "answers_v0.1", "gpt-4-0314.jsonl")
    _none_fails([(prompts[row["uid"]], row["answer"]) for row in answers if row["uid"] in prompts])


def test_published_judgments_as_answers_do():
    judged = read("mt_bench", "gpt4_single_judgments_2models.jsonl")
    draw = random.Random(0)
    for size in SIZES:
        asked = [(question(draw), row["judgment"]) for row in judged[:size]]
        assert "verdict" in failed(look(*rows(asked), TEMPLATE))


def read(*parts):
    return list(map(json.loads, published(*parts).read_text().split("\n")[:-1]))


def _none_fails(asked):
    for size in SIZES:
        for seed in range(2):
            drawn = random.Random(seed).sample(asked, size)
            assert not failed(look(*rows(drawn), TEMPLATE)), (size, seed)
            cut = [(prompt, " ".join(text.split(" ")[:12])) for prompt, text in drawn]
            assert not failed(look(*rows(cut, finish=Finish.LENGTH), TEMPLATE)), (size, seed, "cut")
