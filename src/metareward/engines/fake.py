"""An engine without a model: deterministic, scriptable, quick. Whole runs are tried and tested with it."""

import dataclasses
import functools
import itertools
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from metareward.engines.base import Completion, Forced, OpenEngine, Request, failed, named
from metareward.engines.checks import fault_of
from metareward.ids import seed_of
from metareward.models.base import Model
from metareward.reasoning import Reasoning, Split
from metareward.records import Finish

END_OF_TURN = 2
_FLOOR = 1e-12  # a choice that the script leaves out is unlikely, but its log-probability stays finite
_WORDS = (
    "the",
    "answer",
    "covers",
    "most",
    "points",
    "clearly",
    "stays",
    "brief",
    "but",
    "leaves",
    "gaps",
    "open",
)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a script answers: a text that would end by itself, or why the request fails.

    choice_probabilities: for a forced request; what is missing has probability (almost) 0, and None
    leaves it to the request's seed. opened: whether the prompt left reasoning open, in which the text begins;
    None leaves that to the text.
    """

    text: str = ""
    choice_probabilities: Mapping[str, float] | None = None
    fail: str | None = None
    opened: bool | None = None


Script = Callable[[Request, Model], Reply | str]


def default_script(request: Request, model: Model) -> Reply:
    """A short made-up text from the request's seed; a judge's ends in a verdict line, unless forced."""
    number = seed_of("fake", request.seed, [message.content for message in request.messages])
    words = [_WORDS[seed_of(number, place) % len(_WORDS)] for place in range(4 + number % 9)]
    text = " ".join(words).capitalize() + "."
    if request.verdicts:
        what = "score" if request.step == "judge" else "winner"
        text += f"\n{request.verdicts[seed_of(number, what) % len(request.verdicts)]}"
    return Reply(text)


class FakeEngine:
    """Answers by script; keeps every promise of an engine. Words count as tokens.

    window: requests read ahead; each window is answered backwards, so that callers cannot rely on order.
    """

    def __init__(
        self, model: Model, script: Script = default_script, *, window: int = 16, context: int | None = None
    ) -> None:
        self._model, self._script, self._window, self._context = model, script, window, context

    def complete(self, requests: Iterable[Request], /) -> Iterator[Completion]:
        """Answer each request once, never more than a window behind the requests."""
        source = iter(requests)
        while window := list(itertools.islice(source, self._window)):
            yield from map(self._answer, reversed(window))

    def _answer(self, request: Request) -> Completion:
        if fault := fault_of(request):
            return failed(request, fault)
        sampling = request.sampling
        asked = sum(len(words(message.content)) for message in request.messages)
        if self._context is not None and asked + sampling.max_tokens > self._context:
            return failed(request, f"{asked} words and {sampling.max_tokens} more exceed {self._context}")
        # Greedy decoding draws nothing, so the seed must not show.
        seen = dataclasses.replace(request, seed=0) if sampling.temperature == 0 else request
        reply = self._script(seen, self._model)
        reply = Reply(reply) if isinstance(reply, str) else reply
        if reply.fail is not None:
            return failed(request, reply.fail)
        reasoning = self._model.reasoning
        begin = functools.partial(reasoning.split, opened=reply.opened)
        tokens, finish, whole = _sampled(reply.text, sampling.max_tokens, sampling.stop, begin)
        ids = tuple(map(token_id, tokens))
        if whole and request.forced is None:
            ids += (END_OF_TURN,)
        written = begin("".join(tokens))
        closing = "" if written.ended or not request.forced else _closing(written, reasoning, request.forced)
        return Completion(
            request_id=request.id,
            text="".join(tokens),
            finish=finish,
            token_ids=ids,
            prompt_tokens=asked,
            output_tokens=len(tokens) + whole,
            choice_log_probs=_log_probs(seen, reply) if request.forced else None,
            endings=_endings(request.forced, closing) if request.forced else None,
            opened=reply.opened,
            closing=closing,
        )


def fake(script: Script = default_script, *, window: int = 16, context: int | None = None) -> OpenEngine:
    """Opens fake engines that answer by `script`. context: most words of prompt and answer, if limited."""

    @contextmanager
    def open_engine(model: Model) -> Iterator[FakeEngine]:
        yield FakeEngine(model, script, window=window, context=context)

    return named(open_engine, "fake")


def words(text: str) -> list[str]:
    """The tokens of the fake engine: each word with the white space before it; joined they are the text."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def token_id(word: str) -> int:
    """A made-up id, equal for equal words and never the end of a turn."""
    return 3 + zlib.crc32(word.encode("utf-8", "surrogatepass")) % 1_000_000


def _sampled(
    text: str, max_tokens: int, stop: tuple[str, ...], begin: Callable[[str], Split]
) -> tuple[list[str], Finish, bool]:
    """The words that are kept, why they end, and whether the text came to its own end."""
    written = words(text)[:max_tokens]
    whole = len(written) == len(words(text)) and len(written) < max_tokens  # the end is a token, too
    said = "".join(written)
    split = begin(said)
    places = [p for string in stop if split.ended and (p := said.find(string, split.begin)) >= 0]
    if not places:
        return written, Finish.STOP if whole else Finish.LENGTH, whole
    while len("".join(written)) > min(places):
        written.pop()
    return written, Finish.STOP, False


def _log_probs(request: Request, reply: Reply) -> dict[str, float]:
    assert request.forced is not None
    given, choices = reply.choice_probabilities, request.forced.choices
    if given is None:
        weights = {choice: 1 + seed_of("choice", request.seed, choice) % 100 for choice in choices}
        given = {choice: weight / sum(weights.values()) for choice, weight in weights.items()}
    if unknown := set(given) - set(choices):
        raise ValueError(f"the script gives probabilities of {sorted(unknown)}, not among {choices}")
    return {choice: math.log(max(given.get(choice, 0.0), _FLOOR)) for choice in choices}


def _endings(forced: Forced, closing: str) -> dict[str, tuple[int, ...]]:
    texts = {choice: closing + forced.prefix + choice for choice in forced.choices}
    return {choice: (*map(token_id, words(text)), END_OF_TURN) for choice, text in texts.items()}


def _closing(split: Split, reasoning: Reasoning, forced: Forced) -> str:
    """What ends reasoning that is still open."""
    return (split.markers or reasoning.known[0]).ending(forced.prefix)
