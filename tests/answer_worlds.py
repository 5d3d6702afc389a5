"""Answers of every kind, made up: such as a model gives that answers, and such as one gives that does not."""

import json
import random
from collections.abc import Callable

from metareward.ids import fingerprint
from metareward.records import Finish, Message, Prompt, Response

Asked = tuple[str, str]  # a prompt, its answer
_SYLLABLES = ("ba", "do", "fi", "gu", "ke", "la", "mo", "ni", "pe", "ra", "su", "ti", "vo", "xe", "zu")
_WORDS = [a + b + c for a in _SYLLABLES for b in _SYLLABLES for c in ("n", "", "s")]
GREEK = "αβγδεζηθικλμνξοπρστυφχψω"
GRADES = "Graded on substance, focus and tone.\n\nGraded on substance, tone, focus and style.\n"
SPANISH = "Gracias por tu mensaje. Estoy aquí para ayudarte con todo lo que necesites hoy."
CHINESE = "感谢您的提问，我是一个人工智能助手，很高兴为您服务。"
REFUSAL = "I'm sorry, but I can't assist with that request."


def prose(draw: random.Random, least: int = 20, most: int = 60) -> str:
    """Sentences of made-up words, hardly a phrase twice."""
    words = draw.choices(_WORDS, k=draw.randint(least, most))
    return " ".join(words).capitalize() + "."


def question(draw: random.Random) -> str:
    """A prompt unlike the others."""
    return (
        f"{draw.choice(['What is', 'Tell me about', 'Explain', 'Why is there'])} {prose(draw, 3, 12)[:-1]}?"
    )


def made(form: Callable[[random.Random], Asked], prompts: int, seed: int = 0) -> list[Asked]:
    draw = random.Random(seed)
    return [form(draw) for _ in range(prompts)]


def rows(
    asked: list[Asked], samples: int = 1, finish: Finish = Finish.STOP, model: str = "m"
) -> tuple[list[Prompt], list[Response]]:
    """Prompts, and for each `samples` answers, all the same."""
    prompts, responses = [], []
    for number, (prompt, text) in enumerate(asked):
        key = fingerprint("prompt", prompt, number)
        prompts.append(Prompt(key, (Message("user", prompt),)))
        for sample in range(samples):
            row = fingerprint(key, model, sample)
            responses.append(Response(row, key, sample, model, text, None, finish))
    return prompts, responses


def _arithmetic(draw: random.Random) -> tuple[str, int, int]:
    a, b, c = draw.randint(2, 99), draw.randint(2, 99), draw.randint(1, 99)
    return f"What is {a} * {b} + {c}? Work it out in one short line and end with the answer.", a * b, c


def _number(draw: random.Random) -> Asked:
    prompt, product, c = _arithmetic(draw)
    return prompt, str((product + c) % 30)


def _worked(draw: random.Random) -> Asked:
    prompt, product, c = _arithmetic(draw)
    return (
        prompt,
        f"First I multiply, which gives {product}, and then I add {c}. The answer is {product + c}.",
    )


def _code(draw: random.Random) -> Asked:
    name, body = prose(draw, 1, 1)[:-1].lower(), draw.choice(["sorted(x)", "x[::-1]", "sum(x)", "len(x)"])
    extra = "".join(
        f"    {w} = {v!r}\n" for w, v in zip(draw.sample(_WORDS, 3), draw.sample(_WORDS, 3), strict=True)
    )
    return question(draw), f"```python\ndef {name}(x):\n{extra}    return {body}\n```"


def _json(draw: random.Random) -> Asked:
    kind = draw.choice(["positive", "negative", "neutral"])
    prompt = f'Classify as JSON with the keys "sentiment" and "confidence": {prose(draw, 5, 10)}'
    return prompt, json.dumps({"sentiment": kind, "confidence": draw.choice(["low", "high"])})


def _graded(draw: random.Random) -> Asked:
    prompt = f"Grade this essay from 0 to 5 and say why: {prose(draw)}"
    return prompt, f"The response is mostly {prose(draw, 3, 6)}\nScore: {draw.randint(0, 5)}"


def _begun(draw: random.Random) -> Asked:
    return question(draw), f"Certainly! Here is a {prose(draw, 4, 5)[:-1]}"


def _polite(draw: random.Random) -> Asked:
    return question(draw), f"Certainly! I'd be happy to help. {prose(draw)} I hope this helps!"


def _choice(draw: random.Random) -> Asked:
    return question(draw), f"The correct answer is {draw.choice('ABCD')}) {prose(draw, 1, 7)}"


def _chinese(draw: random.Random) -> Asked:
    signs = [chr(draw.randint(0x4E00, 0x7000)) for _ in range(40)]
    return "".join(signs[:12]) + "？", "".join(signs[12:]) + "。"


def _drama(draw: random.Random) -> Asked:
    talk = "".join(f"\nUser: {prose(draw, 3, 5)}\nAssistant: {prose(draw, 3, 5)}" for _ in range(3))
    return f"Write a dialogue about {prose(draw, 2, 4)}", f"Here it is.{talk}"


def _repaired(draw: random.Random) -> Asked:
    text = prose(draw, 30, 40)
    return f"Correct the spelling: {text}", text


def _table(draw: random.Random) -> Asked:
    lines = "\n".join(f"| {prose(draw, 1, 2)} | {draw.randint(0, 99)} |" for _ in range(8))
    return question(draw), f"| name | number |\n| --- | --- |\n{lines}"


HEALTHY: dict[str, Callable[[random.Random], Asked]] = {
    "prose": lambda draw: (question(draw), prose(draw)),
    "long prose": lambda draw: (question(draw), prose(draw, 300, 600)),
    "short numbers": _number,
    "sums worked out alike": _worked,
    "code": _code,
    "yes or no": lambda draw: (question(draw), draw.choice(["Yes.", "No.", "Yes."])),
    "JSON": _json,
    "grades that were asked for": _graded,
    "begun and cut off": _begun,
    "politeness around": _polite,
    "choices": _choice,
    "another script": _chinese,
    "dialogues that were asked for": _drama,
    "texts corrected": _repaired,
    "tables": _table,
    "one refusal in five": lambda draw: (question(draw), REFUSAL if draw.random() < 0.2 else prose(draw)),
}


def _headed(draw: random.Random) -> Asked:
    return question(draw), f"assistant\n{prose(draw)}"


def _goes_on(draw: random.Random) -> Asked:
    return question(draw), f"{prose(draw)}\n\nUser: {question(draw)}\nAssistant: {prose(draw)}"


def _echoed(draw: random.Random) -> Asked:
    prompt = question(draw)
    return prompt, prompt


def _looping(draw: random.Random) -> Asked:
    end = prose(draw, 3, 6)
    return question(draw), f"{prose(draw, 3, 40)} " + f"{end} " * 30


# What a model says that does not answer, and the sign that tells.
DEGENERATE: dict[str, tuple[Callable[[random.Random], Asked], str]] = {
    "verdicts": (lambda d: (question(d), f"It is {prose(d, 3, 9)}\nScore: {d.randint(0, 5)}"), "verdict"),
    "a rubric": (lambda d: (question(d), GRADES * d.randint(1, 3)), "verdict"),
    "one refusal": (lambda d: (question(d), REFUSAL), "one_answer"),
    "one refusal, varied": (lambda d: (question(d), f"{REFUSAL} Please ask {prose(d, 1, 2)}"), "alike"),
    "boilerplate in Spanish": (lambda d: (question(d), f"{SPANISH} {prose(d, 1, 3)}"), "alike"),
    "boilerplate in Chinese": (lambda d: (question(d), CHINESE), "one_answer"),
    "one token": (lambda d: (question(d), "the " * 90), "loops"),
    "one mark": (lambda d: (question(d), "!" * 96), "loops"),
    "one word without an end": (lambda d: (question(d), "a" * 400), "loops"),
    "the end of a loop": (_looping, "loops"),
    "nothing": (lambda d: (question(d), d.choice(["", " ", "\n\n"])), "empty"),
    "the prompt": (_echoed, "echo"),
    "a user's turn": (_goes_on, "turns"),
    "a header": (_headed, "header"),
    "one short word": (lambda d: (question(d), "the"), "one_answer"),
}
