"""A random two-layer Llama with a byte-level ChatML tokenizer, written to a directory in a second."""

from pathlib import Path

from metareward.records import Message, PreferencePair, Role

SPECIAL = ("<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny_llama(folder: Path, seed: int = 0, dtype: str = "float32") -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(SPECIAL[1]),
    )
    model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    for parameter in model.parameters():
        parameter.data.mul_(3)  # far from uniform, so that different tokens have different probabilities
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token=SPECIAL[1], pad_token=SPECIAL[1])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def pair(
    number: int, chosen: str, rejected: str, prompt: str = "", role: Role = Role.ACTOR
) -> PreferencePair:
    return PreferencePair(
        id=f"pair-{number}",
        role=role,
        prompt_id=f"prompt-{number}",
        response_id=None,
        messages=(Message("user", prompt or f"Question {number}?"),),
        chosen_id=f"chosen-{number}",
        rejected_id=f"rejected-{number}",
        chosen=chosen,
        rejected=rejected,
        chosen_token_ids=None,
        rejected_token_ids=None,
        chosen_score=1.0,
        rejected_score=0.0,
    )


def pairs(count: int) -> list[PreferencePair]:
    return [pair(i, f"Yes, {i * 7}.", "No" + "!" * (i % 5), f"Is {i} so?" + "?" * i) for i in range(count)]
