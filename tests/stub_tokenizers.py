"""A tokenizer for any chat template: bytes, and the control tokens that the template spells."""

import re
from typing import Any

# `<|im_start|>`, `<start_of_turn>`, `[INST]`, `<｜User｜>`, `</s>`, `[gMASK]`, `<|turn>`, ...
_CONTROLS = re.compile(
    r"<[|｜][^|｜<>\n{}' ]{1,40}[|｜]?>|<[a-z_]{1,30}[|]>|</?s>|\[/?[A-Z][A-Z_]{2,24}\]|\[gMASK\]"
    r"|<(?:start_of_turn|end_of_turn|bos|eos|end_of_utterance|fake_token_around_image|image|sop)>"
)


def controls_of(template: str) -> list[str]:
    """The control tokens that a template spells, in order."""
    return list(dict.fromkeys(_CONTROLS.findall(template)))


def stub(template: str, eos: str = "<eos>", bos: str | None = "<bos>", more: tuple[str, ...] = ()) -> Any:
    """A byte-level tokenizer with a template; every control token that this spells is one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    named = [token for token in (bos, eos, "<pad>") if token]
    core.add_special_tokens(list(dict.fromkeys([*named, *controls_of(template), *more])))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=bos, eos_token=eos, pad_token="<pad>", name_or_path="stub"
    )
    tokenizer.chat_template = template
    return tokenizer
