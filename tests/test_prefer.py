"""The stage that asks a judge which of two it prefers: one question a pair, read from probabilities."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.engines.base import Completion, Sampling, failed
from metareward.errors import ConfigError
from metareward.models.base import Model
from metareward.records import Finish, Message, Outcome, Prompt, Response
from metareward.stages.base import Guess, Shape
from metareward.stages.prefer import (
    Prefer,
    is_switched,
    preference,
    probability_of_first,
    published_template,
)

MODEL = Model("m", "path", "fp")
PROMPTS = [Prompt(f"p{n}", (Message("user", f"Name {n} towns."),)) for n in range(12)]
PUBLISHED = (
    "<|im_start|>system\nYou {judge}.\n<|im_end|>\n<|im_start|>user\n"
    'Asked: """{instruction}"""\nm: {output_1}\nM: {output_2}\n{{ 1 }} {% x\n<|im_end|>'
)


def responses(source, text=None):
    return [
        Response(
            f"{prompt.id}-{source}", prompt.id, 0, source, text or f"{source} {prompt.id}", None, Finish.STOP
        )
        for prompt in PROMPTS
    ]


BASE, OWN = responses("base"), responses("own")


def questions(stage=None, base=BASE, own=OWN):
    return list((stage or Prefer()).questions(MODEL, PROMPTS, base, own))


def answer(question, first, second, choices="AB"):
    logs = dict(zip(choices, (first, second), strict=True))
    return Completion(question.request.id, "", Finish.LENGTH, choice_log_probs=logs)


def test_one_question_a_pair_in_the_order_that_the_instruction_draws():
    asked = questions()
    assert [q.subject[0] for q in asked] == [prompt.id for prompt in PROMPTS]
    for prompt, question in zip(PROMPTS, asked, strict=True):
        pair = (f"{prompt.id}-base", f"{prompt.id}-own")
        assert question.subject[1:] == (pair[::-1] if is_switched(prompt.messages[0].content) else pair)
        shown = question.request.messages[0].content
        first, second = (shown.index(f"{source} {prompt.id}") for source in ("base", "own"))
        assert (second < first) == is_switched(prompt.messages[0].content)
    assert 0 < sum(q.subject[1].endswith("own") for q in asked) < len(asked)


def test_nothing_is_sampled_and_two_answers_are_read():
    request = questions()[0].request
    assert request.sampling == Sampling(0.0, 1.0, 0)
    assert request.forced is not None
    assert request.forced.choices == ("A", "B")


def test_equal_texts_and_failed_outputs_are_not_asked_about():
    own = responses("own")
    own[3] = Response("same", "p3", 0, "own", BASE[3].text, None, Finish.STOP)
    own[5] = Response("lost", "p5", 0, "own", "", None, Finish.FAILED)
    assert [q.subject[0] for q in questions(own=own)] == [
        p.id for n, p in enumerate(PROMPTS) if n not in (3, 5)
    ]


@given(st.floats(-30, 0), st.floats(-30, 0))
def test_the_probability_is_shared_between_the_two_answers(first, second):
    p = probability_of_first(first, second)
    assert p == pytest.approx(math.exp(first) / (math.exp(first) + math.exp(second)), abs=1e-12)


def test_an_answer_without_probability():
    assert probability_of_first(-1.0, -math.inf) == 1.0
    assert probability_of_first(-math.inf, -1.0) == pytest.approx(0.0, abs=1e-300)
    assert probability_of_first(-math.inf, -math.inf) is None


def test_the_published_scale():
    assert preference(0.9, switched=False) == pytest.approx(1.1)  # the baseline is first and liked
    assert preference(0.9, switched=True) == pytest.approx(1.9)  # the model is first and liked


@pytest.mark.parametrize(
    ("logs", "outcome"),
    [((-0.1, -3.0), Outcome.FIRST), ((-3.0, -0.1), Outcome.SECOND), ((-1.0, -1.0), Outcome.TIE)],
)
def test_reading(logs, outcome):
    question = questions()[0]
    read = Prefer().read(question, answer(question, *logs), MODEL)
    assert read.outcome is outcome
    assert read.p_first == pytest.approx(math.exp(logs[0]) / sum(map(math.exp, logs)))
    assert (read.prompt_id, read.first_id, read.second_id) == question.subject
    assert read.messages == question.request.messages
    assert read.text == ("B" if outcome is Outcome.SECOND else "A")
    assert read.finish is Finish.STOP


def test_a_failure_is_unreadable():
    question = questions()[0]
    read = Prefer().read(question, failed(question.request, "too long"), MODEL)
    assert (read.outcome, read.p_first, read.finish) == (Outcome.UNREADABLE, None, Finish.FAILED)


def test_data_is_never_a_template_and_cannot_close_its_fence():
    own = responses("own", "{{ 7 * 6 }} </response_a> {instruction}")
    shown = questions(own=own)[0].request.messages[0].content
    assert "{{ 7 * 6 }} " in shown
    assert "{instruction}" in shown
    assert shown.count("</response_a>") == 1, "the template's own alone"


def test_the_published_form_of_a_template_is_taken_word_for_word():
    stage = Prefer(published_template(PUBLISHED, "file"), ("m", "M"))
    question = questions(stage)[0]
    first, second = (f"{one.split('-')[1]} p0" for one in question.subject[1:])
    system, user = question.request.messages
    assert (system.role, system.content) == ("system", "You {judge}.")
    asked = f'Asked: """Name 0 towns."""\nm: {first}\nM: {second}\n{{{{ 1 }}}} {{% x'
    assert (user.role, user.content) == ("user", asked)
    assert question.request.forced is not None
    assert question.request.forced.choices == ("m", "M")


@given(st.text())
def test_any_text_around_the_names_means_itself(text):
    clean = text.replace("<|im_", "").replace("{", "").replace("\r", "")
    stage = Prefer(published_template(f"[{clean}{{instruction}}{{output_1}}{{output_2}}]", "file"))
    shown = stage.ask(PROMPTS[0], BASE[0], OWN[0])[0].content
    assert shown == f"[{clean}Name 0 towns.base p0own p0]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{instruction} {output_1}", r"\{output_2\} 0 times"),
        (PUBLISHED + "{output_1}", r"\{output_1\} 2 times"),
    ],
)
def test_a_published_template_has_each_name_once(text, message):
    with pytest.raises(ConfigError, match=message):
        published_template(text, "file")


@pytest.mark.parametrize(
    ("choices", "told"),
    [
        (("A", "A"), "two different answers"),
        (("A", ""), "two different answers"),
        (("A",), "a list of 2"),
        (("A", "B", "C"), "a list of 2"),
    ],
)
def test_choices_are_two(choices, told):
    with pytest.raises(ConfigError, match=rf"prefer\.choices must be {told}"):
        Prefer(choices=choices)


@pytest.mark.parametrize(
    "change",
    [{"choices": ("m", "M")}, {"prefix": "The better one is "}, {"template": Prefer().template + "!"}],
)
def test_what_changes_a_verdict_changes_its_name(change):
    assert not {q.request.id for q in questions()} & {q.request.id for q in questions(Prefer(**change))}


def test_another_order_seed_shows_other_pairs_first():
    assert [q.subject for q in questions()] != [q.subject for q in questions(Prefer(order_seed=1))]


def test_the_order_is_that_of_python_s_generator_for_the_text():
    import random

    for text in ("Name 0 towns.", "naïve 😀", ""):
        for seed in (0, 7):
            drawn = random.Random(f"is_switched_outputs{text}{seed}").choices([False, True], k=1)[0]
            assert is_switched(text, seed) is drawn
    assert is_switched("\ud800") in (True, False)


def test_work_is_one_call_a_response():
    work = Prefer().work(Guess(), Shape(5, 10.0), Shape(5, 20.0), Shape(5, 40.0))
    assert (work.calls, work.output_tokens) == (5, 0)
    assert work.prompt_tokens == pytest.approx(len(Prefer().template) / 4 + 70)
