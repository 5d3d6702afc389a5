"""A two-layer random model with a trained byte-level BPE and a ChatML-like template, made in a second."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from metareward.models.base import Model

CONTROLS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
ADDED = "<tool>"  # added, but not "special": tokenizers match it whatever they are told
CONTEXT = 320
TEMPLATE = (
    "{% if messages | length > 1 and messages[0]['role'] == 'system' "
    "and messages[1]['role'] == 'assistant' %}"
    "{{ raise_exception('no system role here') }}{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CORPUS = [
    "The answer is clear and the score is good. Score: 4",
    "Winner: A or B, the other answer is not clear at all.",
    "user assistant system What is the capital of France? It is Paris.",
    "Zehn zahme Ziegen zogen zehn Zentner Zucker zum Zoo. 0 1 2 3 4 5 6 7 8 9",
] * 4


@lru_cache(maxsize=1)
def tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AddedToken, PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=alphabet, special_tokens=list(CONTROLS), show_progress=False
    )
    core.train_from_iterator(_CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=CONTROLS[0], eos_token=CONTROLS[2], pad_token=CONTROLS[3]
    )
    tokenizer.add_special_tokens({"extra_special_tokens": [CONTROLS[1]]})
    tokenizer.add_tokens([AddedToken(ADDED, special=False, normalized=False)])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def write_tiny(folder: Path, **changes: Any) -> Model:
    """Write the model into a folder. `changes` go into its config."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer()
    end = tokenizer.convert_tokens_to_ids(CONTROLS[2])
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer) + 3,  # more rows than tokens, as many models have
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": end,
    } | changes
    generator_state = torch.random.get_rng_state()
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    torch.random.set_rng_state(generator_state)
    for parameter in model.parameters():
        parameter.data.mul_(4)  # far from uniform: attention and order matter, draws differ by context
    model.lm_head.weight.data[settings["eos_token_id"]] *= 2  # some answers end by themselves
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Model("tiny", str(folder), "tiny")
