"""Reasoning on a real (tiny) model: nothing stops it, no forced reading falls inside it, its tokens stay."""

import copy
from importlib import resources
from typing import Any

import pytest

from metareward.errors import ModelError
from metareward.models.base import Model
from metareward.reasoning import AUTO, Markers, Reasoning
from metareward.records import Message, Prompt, Role
from tiny_chat_model import CONTROLS, TEMPLATE, tiny_tokenizer, write_tiny

torch = pytest.importorskip("torch")
from metareward.engines import chat, decoding  # noqa: E402
from metareward.engines.base import Completion, Forced, Request, Sampling  # noqa: E402
from metareward.engines.batching import Limits  # noqa: E402
from metareward.engines.chat import encode_chat, encode_text  # noqa: E402
from metareward.engines.loading import load_network  # noqa: E402
from metareward.engines.stopping import Stopping  # noqa: E402
from metareward.engines.transformers import TransformersEngine  # noqa: E402
from metareward.stages.generate import Generate  # noqa: E402
from metareward.stages.judge import Judge  # noqa: E402
from metareward.stages.pair import preference  # noqa: E402
from metareward.train.tokens import encode_pairs  # noqa: E402
from metareward.train.worker import coder_of  # noqa: E402

OPENING = TEMPLATE.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is not defined or enable_thinking %}<think>\n"
    "{% else %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
SCORES = Forced("\nScore: ", ("0", "1", "2", "3", "4", "5"))
ASKED = (Message("user", "Well?"),)
KINDS = ("special", "added", "text")


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Any:
    return load_network(write_tiny(tmp_path_factory.mktemp("tiny")).path, "cpu")


def tokenizer_of(kind: str, template: str = OPENING) -> Any:
    """The markers as special tokens (Magistral), as added ones (Qwen3), or as text like any other."""
    from transformers import AddedToken

    tokenizer = copy.deepcopy(tiny_tokenizer())
    if kind != "text":
        tokens = [AddedToken(text, special=kind == "special") for text in ("<think>", "</think>")]
        tokenizer.add_tokens(tokens, special_tokens=kind == "special")
    tokenizer.chat_template = template
    return tokenizer


def trusted(tokenizer: Any, text: str) -> list[int]:
    """Tokens that a model would sample: its markers are tokens of their own, if they are any."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def answer(
    monkeypatch, network, tokenizer, text: str, reasoning: Reasoning = AUTO, ends: bool = True, **asked: Any
) -> Completion:
    """One request to the real network, whose draws are those of a text (and the end of the turn)."""
    ids = trusted(tokenizer, text) + [tokenizer.eos_token_id] * ends
    drawn = iter(ids)
    monkeypatch.setattr(decoding, "draw", lambda *_: torch.tensor([next(drawn)]))
    engine = TransformersEngine(network, tokenizer, Limits(8, 10_000, 90), reasoning=reasoning)
    sampling = Sampling(max_tokens=asked.pop("max_tokens", len(ids)), stop=asked.pop("stop", ()))
    (found,) = engine.complete([Request("r", ASKED, sampling, 1, **asked)])
    return found


def forced(monkeypatch, network, tokenizer, text: str, **asked: Any) -> Completion:
    return answer(monkeypatch, network, tokenizer, text, forced=SCORES, stop=("Score:",), **asked)


def whole(completion: Completion, choice: str) -> list[int]:
    assert completion.token_ids is not None
    assert completion.endings is not None
    return [*completion.token_ids, *completion.endings[choice]]


@torch.inference_mode()
def log_prob(network, known: int, context: list[int], ids: list[int]) -> float:
    """Of some tokens after others, by one plain pass; `known` is the size of the vocabulary."""
    logits = network(input_ids=torch.tensor([[*context, *ids]])).logits[0, :, :known]
    log_probs = logits.float().log_softmax(-1)
    return sum(float(log_probs[len(context) - 1 + place, token]) for place, token in enumerate(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_sampled_is_decoded_with_its_markers(monkeypatch, network, kind):
    tokenizer = tokenizer_of(kind, TEMPLATE)
    text = "<think>\nThe score is good.\n</think>\n\nThe answer."
    found = answer(monkeypatch, network, tokenizer, text)
    assert found.text == text
    assert found.opened is False
    assert found.token_ids == (*trusted(tokenizer, text), tokenizer.eos_token_id)
    assert found.text[found.split(AUTO).begin :] == "The answer."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opened", [True, False])
def test_a_verdict_in_reasoning_stops_nothing_and_the_reading_is_behind_the_answer(
    monkeypatch, network, kind, opened
):
    tokenizer = tokenizer_of(kind, OPENING if opened else TEMPLATE)
    before = ("" if opened else "<think>\n") + "Score: 2\nScore: 3\n</think>\n\nThe answer."
    found = forced(monkeypatch, network, tokenizer, before + "\nScore: 4 and more", max_tokens=90)
    assert found.text in (before, before + "\n")
    assert found.closing == ""
    assert found.opened is opened
    assert Stopping(tokenizer).text(whole(found, "3")) == found.text + "\nScore: 3"
    check_reading(network, tokenizer, found)


def check_reading(network, tokenizer, found: Completion) -> None:
    """The probabilities are those of each choice behind all that stands before it."""
    assert found.choice_log_probs is not None
    for choice in SCORES.choices:
        tokens = whole(found, choice)[:-1]
        length = 1 + max(
            place
            for place in range(len(tokens))
            if not Stopping(tokenizer).text(tokens[: place + 1]).endswith(choice)
        )
        context = [*encode_chat(tokenizer, ASKED), *tokens[:length]]
        expected = log_prob(network, len(tokenizer), context, tokens[length:])
        assert found.choice_log_probs[choice] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("ends", [True, False])
def test_reasoning_that_does_not_end_is_ended_before_the_reading(monkeypatch, network, kind, opened, ends):
    tokenizer = tokenizer_of(kind, OPENING if opened else TEMPLATE)
    text = ("" if opened else "<think>\n") + "The score is good. Score: 2 or"
    found = forced(monkeypatch, network, tokenizer, text, ends=ends)
    if kind == "text" and not opened:
        assert found.choice_log_probs is None, "nothing says that this model reasons between these markers"
        assert found.endings is None
        assert not found.split(AUTO).ended
        return
    assert found.text == text
    assert found.token_ids == tuple(trusted(tokenizer, text)), "what was sampled stays what it was"
    assert found.closing == "\n</think>\n"
    assert not found.split(AUTO).ended
    tokens = whole(found, "3")
    assert Stopping(tokenizer).text(tokens) == f"{text}\n</think>\n\nScore: 3"
    if kind != "text":
        assert tokens.count(tokenizer.convert_tokens_to_ids("</think>")) == 1
    check_reading(network, tokenizer, found)


def test_a_reading_without_sampling_is_not_inside(monkeypatch, network):
    """As AlpacaEval asks: nothing is sampled, and the template has opened reasoning."""
    tokenizer = tokenizer_of("added")
    monkeypatch.setattr(decoding, "draw", None)
    engine = TransformersEngine(network, tokenizer, Limits(8, 10_000, 90))
    request = Request("r", ASKED, Sampling(0.0, 1.0, 0), 1, Forced("", ("A", "B")))
    (found,) = engine.complete([request])
    assert (found.text, found.closing) == ("", "\n</think>\n\n")
    assert Stopping(tokenizer).text(whole(found, "A")) == "\n</think>\n\nA"


def test_a_batch_of_those_that_reason_and_those_that_do_not(network):
    """By the model's own draws: whatever it writes, each reading is as for the request alone."""
    tokenizer = tokenizer_of("added")
    engine = TransformersEngine(network, tokenizer, Limits(8, 10_000, 90))
    requests = [
        Request(f"r{n}", (Message("user", f"Well {n}?"),), Sampling(1.0, 1.0, 4 + n), n, SCORES)
        for n in range(8)
    ]
    together = {found.request_id: found for found in engine.complete(requests)}
    for request in requests:
        (alone,) = engine.complete([request])
        found = together[request.id]
        assert (found.text, found.closing, found.token_ids) == (alone.text, alone.closing, alone.token_ids)
        assert found.closing or "</think>" in found.text
        assert alone.choice_log_probs is not None
        assert found.choice_log_probs == pytest.approx(dict(alone.choice_log_probs), abs=2e-3)


def test_thinking_is_switched_off_by_the_template(monkeypatch, network):
    tokenizer, off = tokenizer_of("added"), Reasoning(thinking=False)
    found = forced(monkeypatch, network, tokenizer, "The answer.\nScore: 1", reasoning=off)
    assert (found.text.strip(), found.opened, found.closing) == ("The answer.", False, "")
    assert tokenizer.decode(encode_chat(tokenizer, ASKED, off)).endswith("<think>\n\n</think>\n\n")
    assert tokenizer.decode(encode_chat(tokenizer, ASKED)).endswith("assistant\n<think>\n")
    with pytest.raises(ModelError, match="knows no such switch"):
        TransformersEngine(network, tokenizer_of("added", TEMPLATE), Limits(8, 99, 9), reasoning=off)


def test_kept_reasoning_is_text(monkeypatch, network):
    tokenizer, keep = tokenizer_of("added"), Reasoning("keep")
    found = forced(monkeypatch, network, tokenizer, "So.\nScore: 2\n</think>\nYes.", reasoning=keep)
    assert (found.text.strip(), found.closing, found.split(keep).begin) == ("So.", "", 0)


def test_markers_of_a_models_own(monkeypatch, network):
    own = Reasoning(("<plan>", "</plan>"))
    tokenizer = tokenizer_of("text", TEMPLATE)
    found = forced(monkeypatch, network, tokenizer, "<plan>The score is", reasoning=own, ends=False)
    assert found.closing == "\n</plan>\n"
    check_reading(network, tokenizer, found)


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_answer_to_the_tokens_that_are_trained_on(monkeypatch, network, kind):
    """Generate, judge by a forced reading, pair, and encode for DPO: all with what was sampled."""
    tokenizer, model = tokenizer_of(kind), Model("tiny", "tiny", "f")
    prompt = Prompt("p", ASKED)

    def asked(stage, text, *inputs, **more):
        (question,) = stage.questions(model, *inputs)
        sampling = question.request.sampling
        found = answer(
            monkeypatch, network, tokenizer, text, forced=question.request.forced, stop=sampling.stop, **more
        )
        return stage.read(question, found, model)

    good = asked(Generate(samples=1), "The score?\n</think>\n\nThe answer is clear.", [prompt])
    bad = asked(Generate(samples=1), "It is not.\n</think>\n\nNo.", [prompt])
    assert (good.answer, bad.answer) == ("The answer is clear.", "No.")
    judge = Judge(samples=1, reading="forced")
    long = asked(judge, "Score: 1\n</think>\nIt is good.\nScore: 4", [prompt], [good])
    cut = asked(judge, "Score: 1 or what is the", [prompt], [good], ends=False)
    assert "The score?" not in long.messages[0].content
    assert (long.reasoning_ended, cut.reasoning_ended) == (True, False)
    assert long.score is not None
    assert cut.score is not None
    pairs = [
        preference("rule", Role.ACTOR, prompt, ASKED, good, bad, (4.0, 1.0)),
        preference("rule", Role.JUDGE, prompt, ASKED, long, cut, (1.0, -1.0)),
    ]
    ready = encode_pairs(pairs, coder_of(tokenizer), 400)
    assert ready.reencoded == 0
    assert ready.chosen_ids[0] == list(good.token_ids or ())
    assert tokenizer.decode(ready.rejected_ids[1]).startswith("Score: 1 or what is the\n</think>\n\nScore: ")
    assert all(ids[-1] == tokenizer.eos_token_id for ids in ready.chosen_ids + ready.rejected_ids)
    assert tokenizer.decode(ready.prompt_ids[0]).endswith("assistant\n<think>\n")


# --- chat templates ---

FORGETS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% set said = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in said %}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ said }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
EARLIER = (
    Message("user", "One?"),
    Message("assistant", "<think>\nhidden\n</think>\n\nOne."),
    Message("user", "Two <think>mine</think>?"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_earlier_reasoning_goes_where_the_template_drops_it(kind):
    tokenizer = tokenizer_of(kind, FORGETS)
    shown = tokenizer.decode(encode_chat(tokenizer, EARLIER))
    turns: Any = [{"role": turn.role, "content": turn.content} for turn in EARLIER]
    assert shown == tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert "hidden" not in shown
    kept = tokenizer_of(kind, TEMPLATE)
    assert EARLIER[1].content in kept.decode(encode_chat(kept, EARLIER))
    control = tokenizer.get_added_vocab().get("<think>")
    assert control not in encode_chat(tokenizer, EARLIER), "a user's marker is text"


def test_an_answer_that_quotes_a_marker_is_not_dropped():
    """The template would cut it at the quoted marker; the turn never was reasoning."""
    tokenizer = tokenizer_of("added", FORGETS)
    quoted = (EARLIER[0], Message("assistant", "Write </think> there."), EARLIER[2])
    assert "Write </think> there." in tokenizer.decode(encode_chat(tokenizer, quoted))


@pytest.mark.parametrize(
    ("tail", "opened"),
    [
        ("<|im_start|>assistant\n", None),
        ("<|im_start|>assistant\n<think>\n", Markers("<think>", "</think>")),
        ("<|im_start|>assistant\n<think>", Markers("<think>", "</think>")),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", None),
        ("Reason between <think> and </think>.<|im_start|>assistant\n", None),
        ("<|im_start|>assistant\n[THINK]", Markers("[THINK]", "[/THINK]")),
        ("<|im_start|>assistant\n<thought>\n", Markers("<thought>", "</thought>")),
    ],
)
def test_whether_a_template_opens_reasoning_is_seen_by_rendering(tail, opened):
    template = TEMPLATE.replace("<|im_start|>assistant\n{% endif %}", tail + "{% endif %}")
    tokenizer = tokenizer_of("text", template)
    assert chat.opened_by(tokenizer, EARLIER) == opened
    asked = (Message("user", "What is <think>"),)
    assert chat.opened_by(tokenizer, asked) == opened, "what a user writes opens nothing"


def test_a_model_without_reasoning_has_no_markers_and_needs_no_room():
    tokenizer = tokenizer_of("text", TEMPLATE)
    assert chat.known_markers(tokenizer) is None
    assert chat.known_markers(tokenizer_of("added", TEMPLATE)) == Markers("<think>", "</think>")
    assert chat.known_markers(tokenizer_of("text", OPENING)) == Markers("<think>", "</think>")


def test_special_tokens_that_mark_no_reasoning_stay_hidden():
    tokenizer = tokenizer_of("special")
    ids = [*trusted(tokenizer, "<think>a"), *tokenizer.convert_tokens_to_ids(list(CONTROLS))]
    assert Stopping(tokenizer).text(ids) == "<think>a"
    assert Stopping(tokenizer, Reasoning("keep")).text(ids) == "a"
    assert encode_text(tokenizer, "</think>") != trusted(tokenizer, "</think>"), "and text spells no marker"


def test_every_template_of_trl_forgets_what_it_would_forget_and_no_more():
    folder = resources.files("trl").joinpath("chat_templates")
    wrong, forgetting, tried = [], [], 0
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".jinja"):
            continue
        tokenizer = tokenizer_of("added", file.read_text(encoding="utf-8"))
        turns: Any = [{"role": turn.role, "content": turn.content} for turn in EARLIER]
        try:
            rendered = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
        except Exception:  # noqa: BLE001 - it takes other content than text
            continue
        if "One." not in rendered:
            continue
        tried += 1
        forgetting += [file.name] if "hidden" not in rendered else []
        ours = tokenizer.decode(encode_chat(tokenizer, EARLIER))
        wrong += [file.name] if ("hidden" in ours) != ("hidden" in rendered) else []
    assert wrong == []
    assert tried > 40
    assert len(forgetting) > 12
