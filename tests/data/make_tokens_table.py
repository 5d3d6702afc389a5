"""Makes the tables of tokens: of varied texts, by a second tokenizer written from the definition.

    python tests/data/make_tokens_table.py smollm2 SmolLM2-135M-Instruct.Q4_1.gguf
    python tests/data/make_tokens_table.py qwen2 qwen2.5-coder-1.5b-instruct-q4_k_m.gguf

The texts are those that already stand in the table: to add one, add a row `["text",[]]` and run this.
It shares no code with transformers or tokenizers: it takes the vocabulary and the merges from the GGUF
metadata, cuts a text at control tokens, and merges the pair of lowest rank until none is left. What is cut
before merging is the family's own: SmolLM2 cuts around every numeric character, then by the GPT-2 pattern
(Radford et al. 2019, byte-level byte pair encoding); Qwen2 composes the text (Unicode NFC), then cuts by
the pattern that its makers publish. The Qwen2 half gives the published ids for all 43 texts by which
llama.cpp tests its own tokenizer (models/ggml-vocab-qwen2.gguf.inp and .out).
"""

import itertools
import json
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import regex
from gguf import GGUFReader

CONTROL = (3, 4)  # token types in GGUF of tokens that stand for themselves and are never merged
GPT2 = regex.compile(r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
NUMERIC = regex.compile(r"(\p{N})")
QWEN2 = regex.compile(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def cut_smollm2(text: str) -> list[str]:
    return [word for piece in NUMERIC.split(text) for word in GPT2.findall(piece)]


def cut_qwen2(text: str) -> list[str]:
    return QWEN2.findall(unicodedata.normalize("NFC", text))


CUTS: dict[str, Callable[[str], list[str]]] = {"smollm2": cut_smollm2, "qwen2": cut_qwen2}


def byte_symbols() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte: itself if printable, else the next unused from U+0100."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    symbols = {byte: chr(byte) for byte in printable}
    return symbols | {byte: chr(256 + place) for place, byte in enumerate(others)}


class Oracle:
    """The tokenizer that a GGUF file describes, as slowly and plainly as it can be written."""

    def __init__(self, gguf: Path, cut: Callable[[str], list[str]]) -> None:
        self.cut = cut
        fields = GGUFReader(gguf).fields
        contents: dict[str, Any] = {
            key: fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "merges", "token_type")
        }
        self.ids = {token: number for number, token in enumerate(contents["tokens"])}
        self.ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(contents["merges"])}
        kinds = zip(contents["tokens"], contents["token_type"], strict=True)
        self.control = {token for token, kind in kinds if kind in CONTROL}
        longest_first = sorted(self.control, key=len, reverse=True)
        self.at_control = regex.compile("(" + "|".join(map(regex.escape, longest_first)) + ")")
        self.symbols = byte_symbols()

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self.at_control.split(text):
            if part in self.control:
                ids.append(self.ids[part])
            else:
                # SmolLM2's vocabulary lacks 21 bytes (some controls, the begin of rare planes): they vanish,
                # as upstream.
                tokens = [token for word in self.cut(part) for token in self._merge(word)]
                ids += [self.ids[token] for token in tokens if token in self.ids]
        return ids

    def _merge(self, word: str) -> list[str]:
        tokens = [self.symbols[byte] for byte in word.encode()]
        while len(tokens) > 1:
            pairs = list(itertools.pairwise(tokens))
            best = min(pairs, key=lambda pair: self.ranks.get(pair, len(self.ranks)))
            if best not in self.ranks:
                break
            tokens = self._join(tokens, best)
        return tokens

    @staticmethod
    def _join(tokens: list[str], pair: tuple[str, str]) -> list[str]:
        joined: list[str] = []
        place = 0
        while place < len(tokens):
            both = tuple(tokens[place : place + 2]) == pair
            joined.append("".join(pair) if both else tokens[place])
            place += 2 if both else 1
        return joined


def main(family: str, gguf: Path) -> None:
    table = Path(__file__).with_name(f"{family}_tokens.json")
    oracle = Oracle(gguf, CUTS[family])
    texts = [text for text, _ in json.loads(table.read_text(encoding="ascii"))]
    rows = [json.dumps([text, oracle.encode(text)], separators=(",", ":")) for text in texts]
    table.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="ascii")
    print(f"{len(texts)} texts written to {table}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
