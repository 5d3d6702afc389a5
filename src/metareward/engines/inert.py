"""A tokenizer's twin that knows its control tokens by secret names, so that no text can spell one.

The model, its normaliser and its cutting into words are those of the tokenizer, so ordinary text gets the
same ids. The names are random and leave this process in no form; no result depends on them.
"""

import json
import secrets
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from metareward.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NONCE = f"q{secrets.token_hex(8)}"  # letters and digits that no normaliser changes


class Twin:
    """`encode` reads text alone; control tokens are read only where their secret `names` stand."""

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", continuing: bool) -> None:
        from tokenizers import Tokenizer

        backend: Any = getattr(tokenizer, "backend_tokenizer", None)
        if not hasattr(backend, "to_str"):
            raise ModelError(f"{tokenizer.name_or_path}: needs a tokenizer.json; save it as a fast tokenizer")
        plan = json.loads(backend.to_str())
        self.names = _rename(plan)
        if plan["model"]["type"] == "BPE" and tokenizer.unk_token in (
            tokenizer.bos_token,
            tokenizer.eos_token,
        ):
            plan["model"]["unk_token"] = (
                None  # a byte that it lacks is left out, never read as an end of turn
            )
        if continuing:
            plan["normalizer"] = _without_prefix(plan["normalizer"])
            plan["pre_tokenizer"] = _without_prefix(plan["pre_tokenizer"])
        self._backend = Tokenizer.from_str(json.dumps(plan))
        for index, name in self.names.items():
            if self._backend.token_to_id(name) != index:
                raise ModelError(
                    f"{tokenizer.name_or_path}: tokenizer.json gives its added tokens other ids than they "
                    f"get when it is loaded (token {index}); save it anew with save_pretrained"
                )

    def encode(self, text: str) -> list[int]:
        """Token ids, nothing added."""
        return self._backend.encode(text, add_special_tokens=False).ids if text else []


@lru_cache(maxsize=8)
def twin(tokenizer: "PreTrainedTokenizerBase", size: int, continuing: bool = False) -> Twin:
    """The twin of a tokenizer of `size` tokens (one that was given more is looked at again).

    continuing: for text in the middle of other text, where the blank that some tokenizers put in front of
    every text would change it. Raises ModelError where there is no tokenizer.json.
    """
    return Twin(tokenizer, continuing)


def is_control(token: Any) -> bool:
    """Whether text must never become this added token. Runs of white space, which some add, may."""
    return bool(token["special"] or token["content"].strip())


def _rename(plan: dict[str, Any]) -> Mapping[int, str]:
    """Give the control tokens their secret names, in place; returns them by id."""
    vocabulary = plan["model"]["vocab"]
    entries = vocabulary if isinstance(vocabulary, dict) else dict.fromkeys(piece for piece, _ in vocabulary)
    # A character of the alphabet can be written in no other way, so naming it control changes nothing.
    added = [t for t in plan["added_tokens"] if not (len(t["content"]) == 1 and t["content"] in entries)]
    names = {token["id"]: f"{NONCE}n{token['id']}q" for token in added if is_control(token)}
    secret = {token["content"]: names[token["id"]] for token in added if token["id"] in names}
    for token in added:
        if token["id"] in names:
            token.update(content=names[token["id"]], single_word=False)
    plan.update(added_tokens=added, post_processor=None, truncation=None, padding=None)
    _rename_model(plan["model"], secret)
    return names


def _rename_model(model: dict[str, Any], secret: Mapping[str, str]) -> None:
    """The same in the model: nothing that it does to a text ends in a control token."""
    if isinstance(model["vocab"], dict):
        model["vocab"] = {secret.get(piece, piece): index for piece, index in model["vocab"].items()}
    else:
        model["vocab"] = [[secret.get(piece, piece), score] for piece, score in model["vocab"]]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = secret.get(model["unk_token"], model["unk_token"])
    if "merges" in model:
        prefix = model.get("continuing_subword_prefix") or ""
        pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
        model["merges"] = [
            pair
            for pair in pairs
            if not {pair[0], pair[1], pair[0] + pair[1].removeprefix(prefix)} & secret.keys()
        ]


def _without_prefix(part: Any) -> Any:
    """A normaliser or pre-tokenizer that puts no blank in front of a text."""
    if not isinstance(part, dict):
        return part
    for name in ("normalizers", "pretokenizers"):
        if name in part:
            inner = [_without_prefix(item) for item in part[name]]
            return {**part, name: [item for item in inner if item is not None]}
    if part["type"] == "Prepend":
        return None
    changes = {"Metaspace": {"prepend_scheme": "never"}, "ByteLevel": {"add_prefix_space": False}}
    return {**part, **changes.get(part["type"], {})}
