"""Small tokenizers of the families that differ in how they cut, prefix, normalise and mark control tokens.

Each has the real list of its family's control tokens, a chat template of its family's form, and vocabulary
that lends itself to trouble: pieces that merge into a control token, byte pieces, odd flags.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from tiny_chat_model import tiny_tokenizer

CORPUS = [
    "The answer is clear and the score is good. Score: 4\nWinner: A or B",
    "user assistant system What is the capital of France? It is Paris. 0 1 2 3 4 5 6 7 8 9",
    "Zehn zahme Ziegen zogen zehn Zentner Zucker zum Zoo. [INST] hello [/INST] </s> <s>",
] * 4
LLAMA_3 = (
    "<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>",
    *(f"<|reserved_special_token_{number}|>" for number in range(247)),
)  # fmt: skip
QWEN = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>",
    "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
QWEN_PLAIN = (  # added, matched whatever a tokenizer is told, and yet not "special"
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
MISTRAL = ("[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]")
INST_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %}{{ m['content'] }}{{ eos_token }}"
    "{% else %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)
HEADER_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ODD = ("<odd_l>", "<odd_r>", "<odd_word>", "<odd_norm>", "<end>")
ODD_TEMPLATE = (
    "{% for m in messages %}<odd_l>{{ m['role'] }} <odd_word> <odd_word><odd_r>{{ m['content'] }}"
    "<odd_norm><end>"
    "{% endfor %}{% if add_generation_prompt %}<odd_l>assistant{% endif %}"
)
BERT = ("[UNK]", "[CLS]", "[SEP]", "[MASK]")
BERT_TEMPLATE = "[CLS]{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}[SEP]{% endfor %}"


def fast(core: Any, template: str, **special: Any) -> Any:
    """A tokenizer of transformers around one of tokenizers."""
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    made.chat_template = template
    return made


def byte_level(special: tuple[str, ...], plain: tuple[str, ...] = (), **options: Any) -> Any:
    """Byte-level BPE, its control tokens behind the vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    core = Tokenizer(models.BPE(ignore_merges=options.get("ignore_merges", False)))
    core.normalizer = normalizers.NFC() if options.get("nfc") else None  # type: ignore[assignment]
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=options.get("prefix", False))
    core.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, show_progress=False)
    )
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    core.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain])
    return core


def sentencepiece_bpe(
    pieces: list[str], merges: list[tuple[str, str]], control: tuple[str, ...], legacy: bool
):
    """As transformers loads a SentencePiece BPE: the old way prefixes every stretch, the new the first."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    core = Tokenizer(model)
    if legacy:
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return core


def _small_sentencepiece(control: tuple[str, ...], legacy: bool) -> Any:
    """A vocabulary in which `</` and `s>` are pieces that would merge into the end of the sequence."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, show_progress=False))
    import json

    plan = json.loads(trained.to_str())["model"]
    head = ["<unk>", "<s>", "</s>", *control, *(f"<0x{number:02X}>" for number in range(256))]
    grown = ["</", "s>", "<s", "[/", "INST", "INST]", "[INST"]
    pieces = list(dict.fromkeys([*head, *plan["vocab"], *"</s>[]INST", *grown]))
    evil = [("<", "/"), ("s", ">"), ("</", "s>"), ("<", "s"), ("<s", ">"), ("[", "/")]
    inst = [("I", "N"), ("S", "T"), ("IN", "ST"), ("INST", "]"), ("[", "INST]"), ("[/", "INST]")]
    merges = [merge for merge in [*evil, *inst] if "".join(merge) in pieces]
    merges += [pair for pair in map(tuple, plan["merges"]) if pair not in merges]
    merges = [pair for pair in merges if {*pair} <= {*pieces}]
    return sentencepiece_bpe(pieces, merges, ("<unk>", "<s>", "</s>", *control), legacy)


def _odd_flags() -> Any:
    """A Unigram with NFKC, whose added tokens swallow blanks, want whole words, or are normalised."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

    letters = sorted({letter for text in CORPUS for letter in text if letter != " "} | set("<>_|/▁"))
    scored = [("<unk>", -20.0), *[(letter, -5.0) for letter in letters], ("<end>", -0.1), ("▁the", -2.0)]
    core = Tokenizer(models.Unigram(scored, unk_id=0))
    core.normalizer = normalizers.NFKC()
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    core.decoder = decoders.Metaspace(prepend_scheme="first")
    core.add_special_tokens(
        [
            AddedToken("<odd_l>", lstrip=True),
            AddedToken("<odd_r>", rstrip=True),
            AddedToken("<odd_word>", single_word=True),
            AddedToken("<odd_norm>", normalized=True),
            AddedToken("<end>"),
        ]
    )
    return core


def _bert() -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    letters = sorted(
        {letter for text in CORPUS for letter in text.lower() if letter != " "} | set("[]clsepmak")
    )
    pieces = [*BERT, *letters, *(f"##{letter}" for letter in letters)]
    model = models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]")
    core = Tokenizer(model)
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.add_special_tokens(list(BERT))
    return core


_FAMILIES: dict[str, Callable[[], Any]] = {
    "chatml": tiny_tokenizer,
    "llama 3": lambda: fast(
        byte_level(LLAMA_3, ignore_merges=True), HEADER_TEMPLATE, bos_token=LLAMA_3[0], eos_token="<|eot_id|>"
    ),
    "qwen 2.5": lambda: fast(
        byte_level(QWEN, QWEN_PLAIN, nfc=True), CHATML, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    ),
    "prefixed bytes": lambda: fast(byte_level(QWEN, QWEN_PLAIN, prefix=True), CHATML, eos_token="<|im_end|>"),
    "llama 2": lambda: fast(
        _small_sentencepiece((), True), INST_TEMPLATE, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ),
    "llama 2, prefix first": lambda: fast(
        _small_sentencepiece((), False), INST_TEMPLATE, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ),
    "mistral 3": lambda: fast(
        _small_sentencepiece(MISTRAL, True),
        INST_TEMPLATE,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
    ),
    "odd flags": lambda: fast(_odd_flags(), ODD_TEMPLATE, eos_token="<end>", unk_token="<unk>"),
    "wordpiece": lambda: fast(_bert(), BERT_TEMPLATE, eos_token="[SEP]", unk_token="[UNK]"),
}  # fmt: skip
FAMILIES = tuple(_FAMILIES)
LOSSLESS = ("chatml", "llama 3", "llama 2", "llama 2, prefix first", "mistral 3")
SENTENCEPIECE = ("llama 2", "llama 2, prefix first", "mistral 3")


@cache
def family(name: str) -> Any:
    """The tokenizer of a family."""
    return _FAMILIES[name]()


def control_ids(tokenizer: Any) -> set[int]:
    """Ids that text must not become: all added tokens but one for the unknown alone, which steers nothing."""
    other = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    unknown = {tokenizer.unk_token_id} - other
    return {*tokenizer.added_tokens_decoder} - unknown


def control_texts(tokenizer: Any) -> list[str]:
    """How they are spelled."""
    return [token.content for token in tokenizer.added_tokens_decoder.values()]
