"""Model directories that cannot be used. A tiny random model is damaged in one way at a time."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from bad_input.case import TWO, Case

RUN = "metareward run c.toml"
CONFIG = """
model = "./m"
[prompts]
source = "p.jsonl"
{prompts}
[generate]
samples = 2
max_tokens = 8
[judge]
max_tokens = 8
template = "judge_brief"
[meta_judge]
max_tokens = 8
template = "meta_judge_brief"
[[iterations]]
[machine]
device = "cpu"
"""
AGAIN = "Copy or download the model again."
WEIGHTS = "model.safetensors"


@cache
def tiny() -> Path:
    """The whole model, made once."""
    from tiny_llama import write_tiny_llama

    folder = write_tiny_llama(Path(tempfile.mkdtemp(prefix="tiny-")))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8192}))
    return folder


def model(
    what: str,
    harm: Callable[[Path], object],
    says: str,
    loads: bool = False,
    prompts: str = TWO,
    more: str = "",
    change: Callable[[str], str] = str,
) -> Case:
    """loads: it takes PyTorch to find out. prompts: the file; more: into [prompts]; change: of the config."""

    def make(directory: Path) -> None:
        (directory / "m").mkdir()
        (directory / "m/config.json").write_text('{"model_type": "llama"}')
        (directory / "m" / WEIGHTS).write_bytes(b"\x02\0\0\0\0\0\0\0{}")
        if loads:
            shutil.copytree(tiny(), directory / "m", dirs_exist_ok=True)
        harm(directory / "m")

    files = {"c.toml": change(CONFIG.format(prompts=more)), "p.jsonl": prompts}
    return Case(what, RUN, says, files=files, make=make, mark="model" if loads else "")


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def rename(name: str, to: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).rename(folder / to)


def edit(**changes: Any) -> Callable[[Path], object]:
    def harm(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return harm


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


def as_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


def cut(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-100])


def damaged_header(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"\x04\0\0\0\0\0\0\0{{{{")


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")


def not_a_number(folder: Path) -> None:
    """The last number of the last weight."""
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-4] + b"\x00\x00\xc0\x7f")


def template(harm: Callable[[str], str]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        file = folder / "chat_template.jinja"
        file.write_text(harm(file.read_text()))

    return change


def unread(path: Path) -> None:
    """Nothing is wrong with the model."""


INDEX = "model.safetensors.index.json"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
DIRECTORIES = [
    Case("`model = 'smollm2'`", RUN, "unknown model 'smollm2'; did you mean 'smollm2-135m-instruct'? The catalogue has: "
         "qwen2.5-coder-0.5b-instruct, qwen2.5-coder-1.5b-instruct, smollm2-135m-instruct. A local directory "
         "(./path/to/model) or a hub id (organisation/name) will do as well.", files={"c.toml": "model = 'smollm2'"}),
    Case("a model that is gone", RUN, "the model smollm2-135m-judge is not in the catalogue any more: it had learnt from "
         "judgments alone, and so it wrote a judgment whatever it was asked. Take smollm2-135m-instruct with reading = "
         "'forced' in [judge], or fine-tune one by [eft], which replays ordinary answers beside the judgments",
         files={"c.toml": "model = 'smollm2-135m-judge'"}),
    model("no such directory", shutil.rmtree, "…/m does not exist. Name one that holds config.json."),
    model("a file", as_file, "…/m is a file, not a directory. Name one that holds config.json."),
    model("an empty directory", empty, "…/m has no config.json. Name the directory that save_pretrained wrote."),
    model("a LoRA adapter", adapter, "…/m is a LoRA adapter, not a model. Merge it into its base model first (peft:…"),
    model("pickled weights only", rename(WEIGHTS, "pytorch_model.bin"), "…/m has only pickled weights (pytorch_model.bin),"
          " which can run any code when loaded: refused. Load them where you trust them and write safetensors…"),
    model("GGUF only", rename(WEIGHTS, "m.gguf"), "…/m has only GGUF weights. Write safetensors of them with transformers…"),
    model("no weights", lambda m: (m / WEIGHTS).unlink(), f"…/m has a config.json but no *.safetensors weights. {AGAIN}"),
    model("`config.json` that is no JSON", write("config.json", b"not"), "…/m/config.json: not JSON that can be read (…). "
          "Copy the model again."),
    model("`config.json` that is a list", write("config.json", b"[]"), "…/m/config.json: must hold a JSON object of…"),
    model("`generation_config.json` cut short", write("generation_config.json", b"{"), "…/m/generation_config.json: not "
          "JSON that can be read (…). Copy the model again."),
    model("weights cut short", write(WEIGHTS, b"\x09"), f"…/m/{WEIGHTS} is cut short, or not in the safetensors format. "
          + AGAIN),
    model("weights with a damaged header", damaged_header, f"…/m/{WEIGHTS} its header is damaged. {AGAIN}"),
    model("a web page for weights", write(WEIGHTS, b"<!DOCTYPE html><html>404</html>"), f"…/m/{WEIGHTS} is a web page, not "
          f"weights: the download went wrong. {AGAIN}"),
    model("a pointer of git LFS for weights", write(WEIGHTS, LFS), f"…/m/{WEIGHTS} is a pointer of git LFS, not the weights "
          f"themselves (git lfs pull fetches them). {AGAIN}"),
    model("a missing part of the weights", write(INDEX, b'{"weight_map": {"a": "x.safetensors"}}'), f"…/m: {INDEX} names "
          f"x.safetensors, which is not there; the copy is incomplete. {AGAIN}"),
    model("a whole model and a LoRA adapter", beside, "…/m holds a whole model and a LoRA adapter (adapter_config.json): which "
          "of the two is meant cannot be told. Move the adapter elsewhere, or merge it into the model (peft:…"),
    model("a file of weights too many", write("other.safetensors", b"\x02\0\0\0\0\0\0\0{}"), "…/m has one file of weights too "
          f"many: 'other.safetensors' beside {WEIGHTS}. Two models lie in one directory, or what is left of another: move "
          "elsewhere what is not meant."),
    model("an index that leads outside", write(INDEX, b'{"weight_map": {"a": "../../etc/passwd"}}'), f"…/m/{INDEX} names a "
          "file outside the directory: '../../etc/passwd'. Do not trust it."),
    model("an index that is no JSON", write(INDEX, b"{"), f"…/m/{INDEX} is not a readable weights index. Copy the model…"),
]  # fmt: skip
TOGETHER = "config.json and weights do not belong together."
LOADED = [
    model("weights shorter than their header says", cut, f"…/m/{WEIGHTS} has … bytes, and its header says …. {AGAIN}", True),
    model("weights of another shape", edit(hidden_size=64), "…/m: model.embed_tokens.weight has the shape (258, 32) in the "
          f"file of weights and (258, 64) by config.json; they do not belong together. {AGAIN}", True),
    model("weights of fewer layers", edit(num_hidden_layers=4), "…/m: the file of weights lacks model.layers.2."
          f"input_layernorm.weight and 17 more; {TOGETHER} {AGAIN}", True),
    model("weights of more layers", edit(num_hidden_layers=1), "…/m: the file of weights has, beyond what config.json says, "
          f"model.layers.1.input_layernorm.weight and 8 more; {TOGETHER} {AGAIN}", True),
    model("an unknown kind of model", edit(model_type="nonesuch"), "…/m: the model cannot be read (ValueError: …). Give a "
          "directory that holds a whole model …", True),
    model("a model that brings code along", edit(model_type="own", auto_map={"AutoModelForCausalLM": "x.Y", "AutoConfig":
          "x.X"}), "…/m: the model cannot be read (ValueError: …). Give a directory that holds a whole model …", True),
    model("no tokenizer", without_tokenizer, "…/m: the tokenizer cannot be read (…). Give a directory that holds a whole…", True),
    model("a damaged tokenizer", write("tokenizer.json", b"{"), "…/m: the tokenizer cannot be read (…). Give a directory…", True),
    model("a base model, without a chat template", lambda m: (m / "chat_template.jinja").unlink(), "…/m: the tokenizer has no "
          "chat template, so this is probably a base model. Use an instruct model, or put the template into…", True),
    model("a chat template with an error", write("chat_template.jinja", b"{% for %}"), "…/m: the chat template cannot be used "
          "(TemplateSyntaxError: …). Mend chat_template.jinja, or copy the model again.", True),
    model("a chat template that shows nothing", write("chat_template.jinja", b"hello"), "…/m: the chat template never shows "
          "what the user asks. Mend chat_template.jinja, or copy the model again.", True),
    model("weights that are not numbers", not_a_number, "…/m: the weights … hold NaN or infinities: a training that diverged, "
          "or a damaged file. Take the model as it was before, or download it again.", True),
    model("a chat template that draws at random", template(lambda text: "{{ ['a', 'b'] | random }}" + text), "…/m: the chat "
          "template draws at random (random), so a conversation would be another prompt each time it is read. Take that out of "
          "chat_template.jinja, or take another model.", True),
    model("a chat template without a generation prompt", template(lambda text: text.partition("{% if add")[0]), "…/m: the chat "
          "template takes no notice of add_generation_prompt: it writes '<|im_start|>assistant\\n' before an answer, and not "
          "where one is to begin, so that answers would begin with it. Add … at the end of chat_template.jinja.", True),
    model("a chat template that loses a turn of a prompt", template(lambda text: text.replace("in messages", "in messages if "
          "m['role'] != 'system'", 1)), "the model cannot be shown 1 of 2 prompts: p.jsonl:2: …/m: the chat template leaves out "
          "the system turn (message 1 of 2): the model would never see it. Mend chat_template.jinja, put that text into another "
          "turn, or take another model.", True, prompts='{"prompt": "What is a fjord?"}\n{"messages": [{"role": "system", '
          '"content": "Be brief."}, {"role": "user", "content": "Hi"}]}\n'),
    model("a model that reads with an encoder", edit(model_type="t5", architectures=["T5ForConditionalGeneration"]), "…/m: a "
          "model of type t5 writes with a decoder about what an encoder has read; take a causal language model.", True),
    model("a model of no language", edit(model_type="vit", architectures=["ViTModel"]), "…/m: this version of transformers has "
          "no causal language model of type vit; take one that it has, or another version.", True),
    model("a tokenizer of another model", edit(vocab_size=100), "…/m: model.embed_tokens.weight has the shape (258, 32) in the "
          f"file of weights and (100, 32) by config.json; they do not belong together. {AGAIN}", True),
    model("a prompt longer than the context", unread, "prompts: 1 prompts leave no room for an answer of up to 8 tokens in the "
          "model's context of 8192: p.jsonl:3: … tokens Shorten or remove them, lower generate.max_tokens, or set "
          "skip_too_long = true in [prompts] to leave them out.", True, prompts=TWO + json.dumps("x" * 9000)),
    model("only prompts longer than the context", unread, "…need 1 prompts, and there are 0; lower per_iteration…", True,
          prompts=json.dumps("x" * 9000), more="skip_too_long = true"),
    model("`generate.max_tokens` above the context", unread, "generate.max_tokens is 100000, the shortest question has … "
          "tokens, and the model's context has 8192: no question would fit. Lower generate.max_tokens,…", True,
          change=lambda text: text.replace("max_tokens = 8", "max_tokens = 100_000", 1)),
    model("`judge.max_tokens` above the context", unread, "judge.max_tokens is 8192, the shortest question has … tokens, and "
          "the model's context has 8192: no question would fit. Lower judge.max_tokens,…", True,
          change=lambda text: text.replace("[judge]\nmax_tokens = 8", "[judge]\nmax_tokens = 8192")),
    model("a device that is not there", unread, "machine.device is 'cuda:99', and PyTorch … finds … on this machine; set it to "
          "'auto' or 'cpu', or mend the driver…", True, change=lambda text: text.replace('"cpu"', '"cuda:99"')),
    model("`thinking` where the template has no such switch", unread, "…/m: reasoning.thinking is false, and the chat template "
          "knows no such switch (enable_thinking or thinking). Leave thinking out of [reasoning], or take a model…", True,
          change=lambda text: text + "[reasoning]\nthinking = false\n"),
]  # fmt: skip
TUNED = """
[eft]
enabled = true
source = "ranked.jsonl"
[eft.sft]
lora_rank = 2
lora_targets = ["embed_tokens"]
"""
ROUTED = "[dpo]\nrouter_loss = 0.1\n[[iterations]]"
TRAINED = [
    replace(model("an adapter on an embedding that is the output head as well", unread, "sft.lora_targets: 'embed_tokens' names "
            "model.embed_tokens, which shares its weights with the output head, so merging would move both; leave it out, take "
            "'all-linear', or set lora_rank = 0", True, more="per_iteration = 2", change=lambda text: text + TUNED),
            command="metareward plan c.toml"),
    replace(model("a router's loss for a model without a router", unread, "dpo.router_loss is 0.1, but a model of type llama "
            "returns no router's loss here; set it to 0", True, change=lambda text: text.replace("[[iterations]]", ROUTED)),
            command="metareward plan c.toml"),
]  # fmt: skip
CASES = [*DIRECTORIES, *LOADED, *TRAINED]
