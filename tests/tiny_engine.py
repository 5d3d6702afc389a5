"""The transformers engine on a tiny model, and what its answers must be by plain computation."""

from dataclasses import replace

import pytest

from tiny_chat_model import CONTROLS, tiny_tokenizer, write_tiny

torch = pytest.importorskip("torch")
from metareward.engines import transformers as engine_module  # noqa: E402
from metareward.engines.base import Completion, Forced, Request, Sampling  # noqa: E402
from metareward.engines.batching import Limits  # noqa: E402
from metareward.engines.chat import encode_chat, encode_text  # noqa: E402
from metareward.engines.prefill import Network  # noqa: E402
from metareward.engines.sampling import draw, uniforms  # noqa: E402
from metareward.engines.transformers import TransformersEngine  # noqa: E402
from metareward.models.base import Model  # noqa: E402
from metareward.records import Message  # noqa: E402

SCORES = Forced("\nScore: ", ("0", "1", "2", "3"))
END = tiny_tokenizer().convert_tokens_to_ids(CONTROLS[2])
RUBRIC = "The answer is clear and the score is good. " * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def network(model: Model) -> Network:
    return Network(engine_module.load_network(model.path, "cpu"), len(tiny_tokenizer()))


@pytest.fixture(scope="module")
def engine(network: Network) -> TransformersEngine:
    return TransformersEngine(network.model, tiny_tokenizer(), Limits(rows=16, tokens=100_000, chunk=90))


def request(number: int, **changes) -> Request:
    text = RUBRIC * (number % 3 > 0) + f"Question {number}: {'why ' * (number % 5)}?"
    sampling = Sampling(temperature=1.2, top_p=0.9, max_tokens=14)
    return replace(Request(f"r{number}", (Message("user", text),), sampling, seed=number), **changes)


def ask(engine: TransformersEngine, requests: list[Request]) -> dict[str, Completion]:
    return {completion.request_id: completion for completion in engine.complete(requests)}


@torch.inference_mode()
def plain_logits(network: Network, ids):
    return network.model(input_ids=torch.tensor([list(ids)])).logits[0, :, : network.vocabulary]


def plain_sample(network: Network, asked: Request) -> list[int]:
    """The tokens of one request by the definition: whole forward passes, one draw after the other."""
    sampling, ids = asked.sampling, encode_chat(tiny_tokenizer(), asked.messages)
    out: list[int] = []
    double = {"dtype": torch.float64}
    for number in uniforms(asked.seed, sampling.max_tokens):
        logits = plain_logits(network, [*ids, *out])[-1:]
        warmth, top_p = (
            torch.tensor([sampling.temperature], **double),
            torch.tensor([sampling.top_p], **double),
        )
        out.append(int(draw(logits, warmth, top_p, torch.tensor([number]))[0]))
        if out[-1] == END:
            break
    return out


def plain_choices(network: Network, context, forced: Forced) -> dict[str, float]:
    """The summed log-probability of each choice's tokens after the prefix, by one whole pass each."""
    tokenizer = tiny_tokenizer()
    values = {}
    for choice in forced.choices:
        ids = encode_text(tokenizer, forced.prefix + choice)
        inside = [n for n in range(len(ids)) if len(tokenizer.decode(ids[:n])) <= len(forced.prefix)]
        begin = len(context) + (max(inside) if len(forced.choices) == 1 else _alike(forced, max(inside)))
        whole = [*context, *ids]
        log_probs = plain_logits(network, whole).log_softmax(-1)
        values[choice] = sum(float(log_probs[i - 1, whole[i]]) for i in range(begin, len(whole)))
    return values


def _alike(forced: Forced, most: int) -> int:
    """How many tokens, at most `most`, all choices begin with: a blank may belong to prefix or choice."""
    columns = zip(*(encode_text(tiny_tokenizer(), forced.prefix + c) for c in forced.choices), strict=False)
    same = [len(set(column)) == 1 for column in columns]
    return min(most, same.index(False) if False in same else len(same))
