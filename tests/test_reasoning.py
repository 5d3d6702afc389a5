"""The one rule that tells reasoning from the answer: what it takes for a block, and what it leaves alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward import templates
from metareward.engines.base import Completion
from metareward.errors import ConfigError
from metareward.models.base import Model
from metareward.readers import read_score
from metareward.reasoning import AUTO, KNOWN, Markers, Reasoning
from metareward.records import Finish, Message

PIECES = [text for markers in KNOWN[:3] for text in (markers.open, markers.close)]
TEXTS = st.lists(st.sampled_from([*PIECES, "a", " b\n", "\n\n", "  ", "Score: 4", "```"]), max_size=14).map(
    "".join
)
OPENED = st.sampled_from([None, True, False])


def told(text: str, opened: bool | None = None, reasoning: Reasoning = AUTO) -> tuple[str, bool]:
    """The answer, and whether the reasoning ended."""
    split = reasoning.split(text, opened)
    return text[split.begin :], split.ended


@pytest.mark.parametrize("markers", KNOWN, ids=lambda markers: markers.open)
def test_every_known_pair_of_markers(markers):
    opening, closing = markers.open, markers.close
    assert told(f"{opening}\nWhy? Score: 1\n{closing}\n\nSo.\nScore: 4") == ("So.\nScore: 4", True)
    assert told(f"{opening}\nWhy? Score: 1") == ("", False)
    assert told(f"Why? Score: 1\n{closing}\nSo.", opened=True) == ("So.", True)
    assert told(f"Why? Score: 1\n{closing}\nSo.") == ("So.", True)
    assert told(f"It begins {opening} and ends {closing} so.") == (
        f"It begins {opening} and ends {closing} so.",
        True,
    )
    assert AUTO.opening(f"<|im_start|>assistant\n{opening}\n") == markers
    assert AUTO.opening(f"<|im_start|>assistant\n{opening}\n\n{closing}\n\n") is None


@pytest.mark.parametrize(
    ("text", "opened", "answer"),
    [
        ("<think>a</think>b", False, "b"),
        ("  \n<think>a</think>b", False, "b"),
        ("<think></think>\n\nb", False, "b"),
        ("<think>a</think>\n\n\n    b\n", False, "    b\n"),
        ("<think>a</think> b", False, "b"),
        ("<think>a</think>\n<think>b</think>\nc", False, "c"),
        ("<think>a</think><reasoning>b</reasoning>c", False, "c"),
        ("<think>a<think>b</think>c</think>d", False, "d"),
        ("<think>it says <think> there</think>d", False, "d"),
        ("a<think>b</think>c</think>d", True, "d"),
        ("<think>a</think>b", True, "b"),
        ("<think>a</think>A </think> tag", False, "A </think> tag"),
        ("The tag </think>\nends it.", False, "The tag </think>\nends it."),
        ("Write </think> at the end.", None, "Write </think> at the end."),
        ("```\n<think>\n</think>\n```", None, "```\n<think>\n</think>\n```"),
        ("<Think>a</Think>b", None, "b"),
        ("<THINK>a</THINK>b", None, "b"),
        ("[think]a[/THINK]b", None, "b"),
        ("<Think>a</Think>b", False, "<Think>a</Think>b"),
        ("\ufeff<think>a</think>b", None, "b"),
        ("<|channel|>final<|message|>b", None, "b"),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>b", None, "b"),
        ("<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>\nb", None, "b"),
        ("analysisWe add. Score: 1assistantfinalb", None, "b"),
        ("analysis of the final", None, "analysis of the final"),
        ("analysisWe add", None, "analysisWe add"),
        ("<thinker>a</thinker>", None, "<thinker>a</thinker>"),
        ("", None, ""),
        ("", False, ""),
    ],
)
def test_where_the_answer_begins(text, opened, answer):
    assert told(text, opened) == (answer, True)


@pytest.mark.parametrize(
    ("text", "opened"),
    [
        ("", True),
        ("a", True),
        ("<think>", None),
        ("<think>a</think><think>b", None),
        ("<think>a</thin", False),
    ],
)
def test_reasoning_that_does_not_end_has_no_answer(text, opened):
    assert told(text, opened) == ("", False)


def test_gpt_oss_thinks_in_several_messages():
    text = (
        "<|channel|>analysis<|message|>One.<|end|><|start|>assistant<|channel|>analysis<|message|>Two.<|end|>"
        "<|start|>assistant<|channel|>final<|message|>So."
    )
    assert told(text, opened=False) == ("So.", True)
    assert told("<|start|>assistant" + text, opened=None) == ("So.", True)


@given(TEXTS, OPENED)
def test_reasoning_and_answer_are_the_text(text, opened):
    split = AUTO.split(text, opened)
    assert 0 <= split.begin <= len(text)
    assert split.ended or split.begin == len(text)
    again = AUTO.split(text[split.begin :], opened=False)
    assert again.begin == 0 or not again.ended, "an answer begins with no block"
    if opened is False and not any(text.lstrip().startswith(markers.open) for markers in KNOWN):
        assert split.begin == 0


@given(st.text(st.characters(exclude_characters="<[◁"), max_size=60), st.sampled_from([None, False]))
def test_a_text_without_markers_is_all_answer(text, opened):
    assert told(text, opened) == (text, True)


@given(TEXTS, OPENED.filter(lambda opened: opened is not None))
def test_an_answer_that_has_begun_in_writing_has_begun(text, opened):
    """So a stop string that was seen in an answer is in the answer of whatever follows."""
    whole = AUTO.split(text, opened)
    for length in range(len(text)):
        part = AUTO.split(text[:length], opened, writing=True)
        assert AUTO.split(text, opened, writing=True).begin >= whole.begin
        if part.ended and part.begin < length:
            assert part.begin == whole.begin or AUTO.split(text[part.begin :], False).begin


def test_a_block_in_a_block_is_not_over_while_both_are_written():
    assert not AUTO.split("<think>a<think>b</think>c", False, writing=True).ended
    assert AUTO.split("<think>a<think>b</think>c</think>d", False, writing=True).begin == 33


def test_a_model_with_markers_of_its_own():
    own = Reasoning(markers=("<plan>", "</plan>"))
    assert told("<plan>a</plan>b", reasoning=own) == ("b", True)
    assert told("<think>a</think>b", reasoning=own) == ("<think>a</think>b", True)
    assert own.opening("assistant: <plan>") == Markers("<plan>", "</plan>")


def test_reasoning_that_is_to_be_kept_is_text():
    kept = Reasoning(markers="keep")
    assert told("<think>a</think>b", True, kept) == ("<think>a</think>b", True)
    assert kept.opening("<think>") is None


@pytest.mark.parametrize("markers", [("", "x"), ("<a>", "<a>"), ("<a>", "<a></a>"), "Auto"])
def test_markers_that_cannot_be_told_apart_are_refused(markers):
    with pytest.raises(ConfigError, match=r"reasoning\.markers must be 'auto', 'keep' or two"):
        Reasoning(markers=markers)


def test_another_way_of_asking_is_another_model_to_the_store():
    model = Model("m", "p", "f")
    assert model.with_reasoning(AUTO) is model
    others = [Reasoning("keep"), Reasoning(("a", "b")), Reasoning(thinking=False), Reasoning(thinking=True)]
    assert len({model.with_reasoning(other).fingerprint for other in others} | {"f"}) == 5


@pytest.mark.parametrize(
    "text",
    [
        "<think>\nFair.\nScore: 3\nNo, better.\nScore: 4\n</think>\nWhole and clear.\nScore: 4",
        "<think>\nWhole.\n</think>\nWhole and clear.\nScore: 4",
        "poor, it seems\nScore: 2\n</think>\nWhole after all.\nScore: 4",
    ],
)
def test_a_verdict_is_read_from_the_answer(text):
    split = Completion("r", text, Finish.STOP).split(AUTO)
    assert read_score(text[split.begin :], Finish.STOP).score == 4


def test_a_judge_is_not_shown_the_reasoning_of_earlier_turns():
    turns = [
        Message("user", "<think>mine</think>One?"),
        Message("assistant", "<think>\nhidden\n</think>\n\nOne."),
        Message("user", "Two?"),
    ]
    shown = templates.transcript(turns)
    assert "hidden" not in shown
    assert "[assistant]\nOne." in shown
    assert "<think>mine</think>One?" in shown
