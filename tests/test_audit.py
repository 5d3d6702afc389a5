"""A model looked at before it is used: one clear sentence for each thing that would spoil a run."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from in_process import one_thread  # noqa: F401 - a fixture
from metareward.engines.audit import Audit, audit, generation_config, with_template
from metareward.engines.chat import encode_chat, end_of_turn
from metareward.engines.loading import load_network, other_layers, pinned_config, unfit
from metareward.engines.probes import open_reasoning, probe
from metareward.errors import ModelError
from metareward.models.base import Model
from metareward.models.resolve import resolve
from metareward.records import Message
from stub_tokenizers import stub
from tiny_llama import TEMPLATE, write_tiny_llama

torch = pytest.importorskip("torch")

NO_PROMPT = TEMPLATE.partition("{% if add_generation_prompt")[0]
LLAMA_2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }} "
    "{{ eos_token }}{% else %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)
GLM = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


def looked_at(template: str, *named: str, **made: Any) -> Audit:
    """The audit of a template alone; named: the end tokens of a generation config."""
    tokenizer = stub(template, **made)
    ends = SimpleNamespace(eos_token_id=[tokenizer.convert_tokens_to_ids(end) for end in named])
    return with_template(Audit("m", "f"), "stub", tokenizer, probe(tokenizer, ends))


# --- what ends a turn --------------------------------------------------------------------------------


def test_a_right_model_has_nothing_wrong(tmp_path: Path) -> None:
    found = audit(resolve(str(write_tiny_llama(tmp_path / "m"))))
    assert (found.problems, found.refused, found.notes) == ((), (), ())
    assert found.ends == ("<|im_end|>",)
    assert found.header == "<|im_start|>assistant\n"
    flags = (found.generation_prompt, found.keeps_every_turn, found.uses_date, found.opens_reasoning)
    assert flags == (True, True, False, False)
    assert (found.tied, found.finite, found.context) == (True, True, 512)


def test_an_end_that_nobody_names_is_found_used_and_said() -> None:
    found = looked_at(TEMPLATE, eos="<|endoftext|>")
    assert found.ends == ("<|im_end|>", "<|endoftext|>")
    (note,) = found.notes
    assert note.startswith("stub: neither the tokenizer nor generation_config.json names '<|im_end|>'")
    assert not found.problems


@pytest.mark.parametrize(
    ("template", "named", "first"),
    [
        (TEMPLATE, ("<eos>", "<|im_end|>"), "<|im_end|>"),
        # Phi-3 writes a second token behind the whole conversation
        (TEMPLATE + "{% if not add_generation_prompt %}<eos>{% endif %}", ("<|im_end|>",), "<|im_end|>"),
        (LLAMA_2, (), "<eos>"),
        # GLM writes nothing behind an answer: the next turn's mark ends it
        # of two tokens without a gap the one that is named
        (TEMPLATE.replace("<|im_end|>\n", "<|end|><|im_end|>\n"), ("<|im_end|>",), "<|im_end|>"),
        (GLM, ("<|user|>",), "<|user|>"),
        (GLM, (), "<eos>"),
        (PLAIN, (), "<eos>"),
    ],
)  # fmt: skip
def test_the_first_end_is_what_the_template_writes_behind_an_answer(
    template: str, named: tuple[str, ...], first: str
) -> None:
    ends = looked_at(template, *named, more=("<|user|>", "<|assistant|>")).ends
    assert ends is not None
    assert ends[0] == first


def test_a_mark_within_an_answer_of_several_parts_ends_nothing() -> None:
    """Such as <|end|> of gpt-oss, which a model writes behind its analysis and goes on."""
    template = (
        "{% for m in messages %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}"
        "{% if m['role'] == 'assistant' and loop.last %}<|return|>{% else %}<|end|>{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|start|>assistant{% endif %}"
    )
    assert looked_at(template, "<|return|>").ends == ("<|return|>", "<eos>")


def test_an_end_is_the_templates_where_only_a_generation_config_names_it() -> None:
    """Of Gemma's kind: the tokenizer's own end of a sequence is not what a turn ends in."""
    tokenizer = stub(TEMPLATE, eos="<eos>")
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    both = SimpleNamespace(eos_token_id=[tokenizer.eos_token_id, end])
    assert end_of_turn(tokenizer, both) == (end, tokenizer.eos_token_id)
    assert end_of_turn(tokenizer) == (end, tokenizer.eos_token_id)


def test_without_any_end_no_run_is_begun() -> None:
    found = looked_at(PLAIN, eos="<eos>")
    assert "writes no control token behind an answer" in found.notes[0]
    tokenizer = stub(PLAIN)
    tokenizer.eos_token = None
    nothing = with_template(Audit("m", "f"), "stub", tokenizer, probe(tokenizer))
    assert nothing.ends == ()
    assert "Set eos_token_id in generation_config.json" in nothing.refused[0]


def test_ends_are_read_where_transformers_reads_them(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"text_config": {"eos_token_id": 7}}')
    assert generation_config(str(tmp_path)).eos_token_id == 7
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [1, 2]}')
    assert generation_config(str(tmp_path)).eos_token_id == [1, 2]


# --- where the assistant's turn begins -----------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        NO_PROMPT,
        NO_PROMPT.replace("<|im_start|>", "### ").replace("<|im_end|>", "<eos>"),
        # an end of everything, whether or not an answer is to follow
        NO_PROMPT + "{{ eos_token }}",
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}\n{% endfor %}",
    ],
)
def test_a_template_that_never_says_that_an_answer_begins_is_refused(template: str) -> None:
    found = looked_at(template)
    assert found.generation_prompt is False
    (problem,) = found.refused
    assert "takes no notice of add_generation_prompt" in problem
    assert "at the end of chat_template.jinja" in problem


def test_the_remedy_mends_it() -> None:
    (problem,) = looked_at(NO_PROMPT).refused
    remedy = problem.partition("Add ")[2].partition(" at the end")[0]
    mended = looked_at(NO_PROMPT + remedy)
    assert mended.generation_prompt
    assert mended.header == "<|im_start|>assistant\n"
    assert not mended.problems


@pytest.mark.parametrize("template", [LLAMA_2, LLAMA_2.replace(" [/INST]", "[/INST]"), PLAIN, TEMPLATE])
def test_where_an_answer_has_no_heading_none_is_missed(template: str) -> None:
    found = looked_at(template)
    assert found.generation_prompt
    assert not found.problems


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("<|turn>model\n<|channel>thought\n<channel|>", ""),
        ("<|turn>model\n<|channel>thought\n", "<|channel>thought"),
        ("[THINK]", "[THINK]"),
        ("[THINK]a[/THINK]", ""),
        ("<|START_THINKING|>", "<|START_THINKING|>"),
        ("<|START_THINKING|><|END_THINKING|>", ""),
        ("<seed:think>", "<seed:think>"),
        ("◁think▷", "◁think▷"),
        ("I think > so, [thinking of it", ""),
        ("<" * 50_000 + "[" * 50_000, ""),
    ],
)
def test_an_open_block_of_reasoning(text: str, mark: str) -> None:
    assert open_reasoning(text) == mark


def test_a_template_that_opens_reasoning_is_said() -> None:
    found = looked_at(TEMPLATE.replace("assistant\n{% endif", "assistant\n<think>\n{% endif"))
    assert found.opens_reasoning
    assert not found.problems
    assert "'<think>'" in found.notes[-1]


# --- every turn ----------------------------------------------------------------------------------------

BUT_SYSTEM, BUT_ANSWERS = "if m['role'] != 'system' %}", "if m['role'] != 'assistant' %}"
LOSING = {
    "system": (TEMPLATE.replace("in messages %}", f"in messages {BUT_SYSTEM}", 1), "system"),
    "later system": (
        TEMPLATE.replace("%}<|im_start|>{{", "%}{% if loop.first or m.role != 'system' %}<|im_start|>{{", 1)
        .replace("\n{% endfor %}", "\n{% endif %}{% endfor %}"),
        "system",
    ),
    "answers": (TEMPLATE.replace("in messages %}", f"in messages {BUT_ANSWERS}", 1), "assistant"),
    "all but the last": (TEMPLATE.replace("in messages %}", "in messages[-1:] %}", 1), "user"),
    "cut": (TEMPLATE.replace("m['content']", "m['content'][:2]"), "user"),
}  # fmt: skip
LONG = [
    Message("user", "Hi"),
    Message("assistant", "Hello"),
    Message("system", "Answer in French."),
    Message("user", "How are you?"),
]


@pytest.mark.parametrize("name", list(LOSING)[:4])
def test_a_template_that_loses_a_turn_is_said_to(name: str) -> None:
    template, role = LOSING[name]
    found = looked_at(template)
    assert found.keeps_every_turn is False
    assert f"the {role} turn vanishes" in " ".join(found.problems) or "vanishes" in found.problems[0]
    assert not found.refused, "a run whose prompts have no such turns may go ahead"


@pytest.mark.parametrize("name", LOSING)
def test_a_lost_turn_is_refused_before_it_is_asked(name: str) -> None:
    template, role = LOSING[name]
    with pytest.raises(ModelError, match=rf"leaves out the {role} turn \(message \d of 4\).*never see it"):
        encode_chat(stub(template), LONG)


def test_blank_turns_and_roles_refused_are_no_loss() -> None:
    ids = encode_chat(stub(TEMPLATE), [Message("system", " "), Message("user", "Hi")])
    assert ids
    refusing = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    )
    found = looked_at(refusing)
    assert found.keeps_every_turn
    assert found.refuses == ("a system turn first", "a system turn and an earlier answer", "two system turns")
    assert not found.problems


# --- the clock, the beginning, places in memory --------------------------------------------------------


def test_the_date_is_said() -> None:
    found = looked_at("{{ strftime_now('%Y') }}" + TEMPLATE)
    assert found.uses_date
    assert "a run keeps that of its start" in found.notes[-1]
    unused = looked_at("{% if tools %}{{ strftime_now('%Y') }}{% endif %}" + TEMPLATE)
    assert unused.uses_date is False


def test_a_doubled_beginning_is_refused() -> None:
    assert looked_at("{{ bos_token }}" + TEMPLATE).bos == 1
    assert "beginning-of-sequence token twice" in looked_at("{{ bos_token }}<bos>" + TEMPLATE).refused[0]


def test_a_place_in_memory_is_refused() -> None:
    assert "place in memory" in looked_at(TEMPLATE + "{{ messages[0].items }}").refused[0]


# --- config and weights --------------------------------------------------------------------------------


def edit(folder: Path, name: str = "config.json", **changes: Any) -> Path:
    file = folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_tiny_llama(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = audit(resolve(str(folder)))
    assert found.finite is False
    assert "the weights model.layers.1.mlp.up_proj.weight hold NaN or infinities" in found.refused[0]
    with pytest.raises(ModelError, match=r"up_proj\.weight hold NaN"):
        load_network(str(folder), "cpu")


def test_a_number_format_that_is_too_narrow_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_tiny_llama(tmp_path / "m", dtype="bfloat16")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][0] = 1e6
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load_network(str(folder), "cpu", "bfloat16")
    with pytest.raises(ModelError, match=r"model.norm.weight hold NaN or inf.*read as float16"):
        load_network(str(folder), "cpu", "float16")


def test_logits_that_are_not_finite_fail_as_a_value(tmp_path: Path) -> None:
    from metareward.engines.base import Forced, Request, Sampling
    from metareward.engines.batching import Limits
    from metareward.engines.chat import load_tokenizer
    from metareward.engines.transformers import TransformersEngine
    from metareward.records import Finish

    folder = str(write_tiny_llama(tmp_path / "m"))
    model = load_network(folder, "cpu")
    engine = TransformersEngine(model, load_tokenizer(folder), Limits(rows=4, tokens=9999, chunk=99))
    model.model.norm.weight.data[0] = float("nan")
    for forced in (None, Forced("\nScore: ", tuple("012")), Forced("\nScore: ", ("one", "two"))):
        for tokens in (0, 4):
            asked = Request("a", (Message("user", "Hi"),), Sampling(max_tokens=tokens), 0, forced)
            (answer,) = engine.complete([asked])
            assert answer.finish is Finish.FAILED
            assert answer.error is not None
            assert "not finite" in answer.error


@pytest.mark.parametrize("place", ["attn_implementation", "_attn_implementation"])
@pytest.mark.parametrize("value", ["nobody/kernel", "flash_attention_2", "eager"])
def test_no_config_chooses_the_kernels(tmp_path: Path, place: str, value: str) -> None:
    folder = edit(write_tiny_llama(tmp_path / "m"), **{place: value})
    assert load_network(str(folder), "cpu").config._attn_implementation == "sdpa"
    notes = audit(resolve(str(folder))).notes
    assert bool(notes) == (value != "eager")
    assert all(f"{place} = {value!r}, which is not used" in note for note in notes)


def test_a_head_that_differs_is_said(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_tiny_llama(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    embeddings = weights["model.embed_tokens.weight"]
    for head, said in ((embeddings.clone(), "same"), (embeddings + 1, "different")):
        save_file(
            {**weights, "lm_head.weight": head}, folder / "model.safetensors", metadata={"format": "pt"}
        )
        found = audit(resolve(str(folder)))
        assert found.stored_head == said
        assert bool(found.notes) == (said == "different")


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        ("Qwen3NextConfig", {}, "linear_attention"),
        ("Lfm2Config", {"full_attn_idxs": [2]}, "conv"),
        ("MambaConfig", {}, "linear_attention"),
        ("RwkvConfig", {}, "rwkv"),
        ("BloomConfig", {}, "ALiBi"),
        ("MptConfig", {}, "ALiBi"),
        ("FalconConfig", {"alibi": True}, "ALiBi"),
        ("FalconConfig", {"alibi": False}, ""),
        ("LlamaConfig", {}, ""),
        ("Gemma3TextConfig", {}, ""),
        ("GptOssConfig", {}, ""),
    ],
)
def test_what_goes_beyond_attention_is_known_from_the_config(kind: str, settings: Any, said: str) -> None:
    import transformers

    config = getattr(transformers, kind)(**settings)
    other = other_layers(config)
    assert (said in other) if other else not said
    assert unfit(config) is None


def test_a_config_of_an_unfit_kind_is_refused_without_its_weights(tmp_path: Path) -> None:
    folder = edit(write_tiny_llama(tmp_path / "m"), model_type="vit", architectures=["ViTModel"])
    (sentence,) = audit(resolve(str(folder))).refused
    assert "has no causal language model of type vit" in sentence
    assert pinned_config(str(folder)).model_type == "vit"


def test_an_architecture_that_answers_slower_is_said_to(tmp_path: Path) -> None:
    folder = edit(write_tiny_llama(tmp_path / "m"), model_type="bloom", architectures=["BloomForCausalLM"])
    found = audit(resolve(str(folder)))
    assert "positions by ALiBi, so it is answered with the architecture's own cache" in found.notes[0]
    assert not found.problems


def test_what_is_pinned_is_pinned_in_the_parts_of_a_config(tmp_path: Path) -> None:
    from transformers import Gemma3Config

    config = Gemma3Config(text_config={"_attn_implementation": "nobody/kernel"})
    config.save_pretrained(tmp_path)
    edit(tmp_path, attn_implementation="nobody/kernel")
    pinned = pinned_config(str(tmp_path))
    assert pinned._attn_implementation is None
    assert pinned.text_config._attn_implementation is None


def test_an_audit_is_plain_data(tmp_path: Path) -> None:
    found = audit(resolve(str(write_tiny_llama(tmp_path / "m")))).as_dict()
    assert json.loads(json.dumps(found)) == found
    assert {"ends", "generation_prompt", "keeps_every_turn", "uses_date", "opens_reasoning", "finite"} <= {
        *found
    }
    assert isinstance(found["problems"], list)


@pytest.mark.model
def test_the_default_model_passes(default_model: Model) -> None:
    found = audit(default_model)
    assert (found.problems, found.ends, found.tied, found.finite) == ((), ("<|im_end|>",), True, True)


def test_an_engine_refuses_a_template_without_a_heading_by_itself(tmp_path: Path) -> None:
    """For runs from Python, which open an engine without an audit."""
    from metareward.engines.transformers import open_transformers

    folder = write_tiny_llama(tmp_path / "m")
    (folder / "chat_template.jinja").write_text(NO_PROMPT)
    with pytest.raises(ModelError, match="takes no notice of add_generation_prompt"):
        open_transformers("cpu")(Model("m", str(folder), "f")).__enter__()
