"""The lab's tokenizer: every word a token, and the verdict lines of judges with their line break."""

from pathlib import Path
from typing import TYPE_CHECKING

from metareward.lab.words import END, GO, PAD, SPECIAL, UNKNOWN, VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IDS = {word: index for index, word in enumerate(VOCABULARY)}
_VERDICT_OR_WORD = r"\n(?:Score|Winner): [0-9A-Z]|[^ \n]+"
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }} "
    f"{{% if message['role'] == 'assistant' %}}{END} {{% endif %}}{{% endfor %}}"
    f"{{% if add_generation_prompt %}}{GO}{{% endif %}}"
)


def tokenizer() -> "PreTrainedTokenizerFast":
    """A new one. Words it does not know become one unknown word."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel(vocab=dict(IDS), unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(_VERDICT_OR_WORD), "removed", invert=True)
    backend.add_special_tokens(list(SPECIAL))
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=END,
        additional_special_tokens=[GO],
    )
    made.chat_template = _CHAT_TEMPLATE
    return made


def save_tokenizer(folder: Path) -> None:
    """Write it where a model's weights lie."""
    tokenizer().save_pretrained(folder)
