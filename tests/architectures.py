"""Tiny random models of many architectures, with the tokenizer of `tiny_llama`."""

from pathlib import Path
from typing import Any

from tiny_llama import SPECIAL, _tokenizer

COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,
    "bos_token_id": None,
    "tie_word_embeddings": True,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}
NOISE = {"attention_dropout": 0.3}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", NOISE),
    "qwen3 moe": ("Qwen3MoeConfig", {**EXPERTS, "moe_intermediate_size": 32, "decoder_sparse_step": 1}),
    "mixtral": (
        "MixtralConfig",
        {"num_local_experts": 4, "output_router_logits": True, "router_jitter_noise": 0.1, **NOISE},
    ),
    "olmoe": ("OlmoeConfig", EXPERTS),
    "phimoe": ("PhimoeConfig", {"num_local_experts": 4}),
    "opt": ("OPTConfig", {"ffn_dim": 64, "word_embed_proj_dim": 32, "layerdrop": 0.5}),
    "seed oss": ("SeedOssConfig", {}),
    "gpt neox": ("GPTNeoXConfig", {"hidden_dropout": 0.2, **NOISE}),
    "gemma2": ("Gemma2Config", {"sliding_window": 16, "final_logit_softcapping": 5.0, **NOISE}),
    "phi": ("PhiConfig", {"resid_pdrop": 0.2, "embd_pdrop": 0.2, **NOISE}),
    "gpt2": ("GPT2Config", {}),
    "bloom": ("BloomConfig", {"hidden_dropout": 0.2, **NOISE}),
    "deepseek v3": (
        "DeepseekV3Config",
        {
            **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1},
            **{"topk_group": 1, "first_k_dense_replace": 1, "moe_intermediate_size": 32, "head_dim": None},
            **{"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8},
            **{"v_head_dim": 8, "num_key_value_heads": 4},
        },
    ),
}


def write(folder: Path, kind: str, dtype: str = "float32", **changes: Any) -> Path:
    """A model of a kind in a directory."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    name, own = KINDS[kind]
    tokenizer = _tokenizer()
    end = tokenizer.convert_tokens_to_ids(SPECIAL[1])
    words = {"vocab_size": len(tokenizer), "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(0)
    config = getattr(transformers, name)(**{**COMMON, **words, **own, **changes})
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
