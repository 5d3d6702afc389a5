"""Tiny random models of many architectures, with the tokenizer of `tiny_llama`.

For tests, and for the table of docs/architectures.md (`python benchmarks/architectures.py`).

A model has two to four layers, and of each kind of layer that its architecture mixes at least one.
"""

from dataclasses import dataclass, field
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
LOCAL = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED = {
    **{"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "n_group": 1, "topk_group": 1},
    **{"first_k_dense_replace": 1, "moe_intermediate_size": 32},
}
LATENT = {
    **{"head_dim": None, "num_key_value_heads": 4, "kv_lora_rank": 8, "q_lora_rank": 8},
    **{"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
}
NOISE = {"attention_dropout": 0.3}
SLIDING = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"]}
DELTA = {
    **{"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8},
    **{"linear_value_head_dim": 8, "layer_types": ["linear_attention", "full_attention"]},
}
MAMBA = {"state_size": 8, "conv_kernel": 4, "expand": 2}
MAMBA_HEADS = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_chunk_size": 8}


@dataclass(frozen=True)
class Kind:
    """An architecture as transformers names it, what sets it apart, and the settings of a tiny one."""

    config: str
    about: str
    settings: dict[str, Any] = field(default_factory=dict)


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
    "deepseek v3": ("DeepseekV3Config", {**ROUTED, **LATENT}),
}
"""Those with noise in training, for what training must turn off."""

ALL: dict[str, Kind] = {
    "llama": Kind("LlamaConfig", "dense, tied head"),
    "mistral": Kind("MistralConfig", "dense, sliding window", {"sliding_window": 16}),
    "qwen2": Kind("Qwen2Config", "dense, biased attention"),
    "qwen3": Kind("Qwen3Config", "dense, own head", {"tie_word_embeddings": False}),
    "gemma": Kind("GemmaConfig", "dense"),
    "gemma2": Kind("Gemma2Config", "dense, sliding and full, softcaps", {"sliding_window": 16}),
    "gemma3_text": Kind("Gemma3TextConfig", "dense, sliding and full", SLIDING),
    "gemma3n_text": Kind(
        "Gemma3nTextConfig",
        "dense, sliding and full, layers that share keys",
        {
            **{"num_hidden_layers": 4, "sliding_window": 16, "num_kv_shared_layers": 2, "laurel_rank": 4},
            **{"layer_types": ["sliding_attention", "full_attention"] * 2, "hidden_size_per_layer_input": 8},
            **{"vocab_size_per_layer_input": 258},
        },
    ),
    "gemma4_text": Kind(
        "Gemma4TextConfig",
        "dense, sliding and full, inputs of each layer",
        {
            **SLIDING,
            **{"global_head_dim": 8, "hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 258},
        },
    ),
    "phi": Kind("PhiConfig", "dense, parallel", {"tie_word_embeddings": False}),
    "phi3": Kind("Phi3Config", "dense, joint projections", {"pad_token_id": 0}),
    "gpt2": Kind("GPT2Config", "dense, learnt positions"),
    "gpt_neo": Kind(
        "GPTNeoConfig",
        "dense, local and global attention",
        {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 16},
    ),
    "gpt_neox": Kind("GPTNeoXConfig", "dense, parallel, own head", {"tie_word_embeddings": False}),
    "gptj": Kind("GPTJConfig", "dense, own biased head", {"rotary_dim": 4, "tie_word_embeddings": False}),
    "gpt_bigcode": Kind("GPTBigCodeConfig", "dense, one key for all heads"),
    "opt": Kind("OPTConfig", "dense, learnt positions", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "bloom": Kind("BloomConfig", "dense, ALiBi"),
    "mpt": Kind("MptConfig", "dense, ALiBi", {"d_model": 32, "n_heads": 4, "n_layers": 2}),
    "falcon": Kind("FalconConfig", "dense, one key for all heads"),
    "falcon (alibi)": Kind("FalconConfig", "dense, ALiBi", {"alibi": True}),
    "stablelm": Kind("StableLmConfig", "dense, partly rotary"),
    "cohere": Kind("CohereConfig", "dense, scaled logits"),
    "cohere2": Kind("Cohere2Config", "dense, sliding and full, scaled logits", SLIDING),
    "granite": Kind("GraniteConfig", "dense, scaled logits", {"logits_scaling": 4.0}),
    "glm4": Kind("Glm4Config", "dense", {"pad_token_id": 0}),
    "olmo2": Kind("Olmo2Config", "dense, norms behind"),
    "olmo3": Kind("Olmo3Config", "dense, sliding and full", SLIDING),
    "smollm3": Kind("SmolLM3Config", "dense, layers without positions", {"pad_token_id": 0}),
    "ernie4_5": Kind("Ernie4_5Config", "dense"),
    "exaone4": Kind("Exaone4Config", "dense, sliding and full", SLIDING),
    "seed_oss": Kind("SeedOssConfig", "dense"),
    "hunyuan_v1_dense": Kind("HunYuanDenseV1Config", "dense"),
    "starcoder2": Kind("Starcoder2Config", "dense, sliding window", {"sliding_window": 16}),
    "nemotron": Kind("NemotronConfig", "dense, squared ReLU"),
    "apertus": Kind("ApertusConfig", "dense, xIELU"),
    "mixtral": Kind("MixtralConfig", "mixture", LOCAL),
    "phimoe": Kind("PhimoeConfig", "mixture", {"num_local_experts": 4}),
    "qwen2_moe": Kind(
        "Qwen2MoeConfig",
        "mixture, shared expert",
        {**EXPERTS, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    ),
    "qwen3_moe": Kind("Qwen3MoeConfig", "mixture", {**EXPERTS, "moe_intermediate_size": 32}),
    "olmoe": Kind("OlmoeConfig", "mixture", EXPERTS),
    "granitemoe": Kind("GraniteMoeConfig", "mixture, scaled logits", LOCAL),
    "dbrx": Kind(
        "DbrxConfig",
        "mixture",
        {
            **{"d_model": 32, "n_heads": 4, "n_layers": 2, "max_seq_len": 1024, "tie_word_embeddings": False},
            **{"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0}},
            **{
                "ffn_config": {"ffn_hidden_size": 32, "hidden_size": 32, "moe_num_experts": 4, "moe_top_k": 2}
            },
        },
    ),
    "ernie4_5_moe": Kind(
        "Ernie4_5_MoeConfig",
        "mixture, biased router",
        {
            **{"moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 1, "moe_intermediate_size": 32},
            **{"moe_layer_start_index": 1, "moe_layer_end_index": 1},
        },
    ),
    "glm4_moe": Kind("Glm4MoeConfig", "mixture, biased router", {**ROUTED, "pad_token_id": 0}),
    "deepseek_v2": Kind("DeepseekV2Config", "mixture, latent attention", {**ROUTED, **LATENT}),
    "deepseek_v3": Kind("DeepseekV3Config", "mixture, latent attention, biased router", {**ROUTED, **LATENT}),
    "hunyuan_v1_moe": Kind("HunYuanMoEV1Config", "mixture", {"num_experts": 4, "moe_topk": 2}),
    "llama4_text": Kind(
        "Llama4TextConfig",
        "mixture, attention in chunks",
        {**LOCAL, "intermediate_size_mlp": 64, "attention_chunk_size": 16, "no_rope_layers": [1, 0]},
    ),
    "gpt_oss": Kind("GptOssConfig", "mixture, sliding and full, sinks", {**LOCAL, **SLIDING}),
    "qwen3_next": Kind(
        "Qwen3NextConfig",
        "hybrid: gated delta rule and attention, mixture",
        {**DELTA, **EXPERTS, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    ),
    "qwen3_5_text": Kind("Qwen3_5TextConfig", "hybrid: gated delta rule and attention", DELTA),
    "qwen3_5_moe_text": Kind(
        "Qwen3_5MoeTextConfig",
        "hybrid: gated delta rule and attention, mixture",
        {**DELTA, **EXPERTS, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32},
    ),
    "olmo_hybrid": Kind("OlmoHybridConfig", "hybrid: gated delta rule and attention", DELTA),
    "kimi_linear": Kind(
        "KimiLinearConfig",
        "hybrid: delta attention and latent attention, mixture",
        {
            **{**ROUTED, **LATENT, **LOCAL, "q_lora_rank": None, "linear_head_dim": 8, "linear_num_heads": 4},
            **{"layer_types": ["linear_attention", "full_attention"], "mlp_layer_types": ["dense", "sparse"]},
        },
    ),
    "minimax": Kind(
        "MiniMaxConfig",
        "hybrid: lightning attention and attention, mixture",
        {**LOCAL, "block_size": 8, "layer_types": ["linear_attention", "full_attention"]},
    ),
    "lfm2": Kind(
        "Lfm2Config",
        "hybrid: short convolutions and attention",
        {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False},
    ),
    "lfm2_moe": Kind(
        "Lfm2MoeConfig",
        "hybrid: short convolutions and attention, mixture, biased router",
        {
            **{**EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
            **{"moe_intermediate_size": 32},
        },
    ),
    "jamba": Kind(
        "JambaConfig",
        "hybrid: Mamba and attention, mixture",
        {
            **{**EXPERTS, "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False},
            **{"attn_layer_period": 2, "attn_layer_offset": 1, "num_hidden_layers": 4},
        },
    ),
    "bamba": Kind("BambaConfig", "hybrid: Mamba-2 and attention", {**MAMBA_HEADS, "attn_layer_indices": [1]}),
    "granitemoehybrid": Kind(
        "GraniteMoeHybridConfig",
        "hybrid: Mamba-2 and attention, mixture",
        {
            **{**LOCAL, **MAMBA_HEADS, "shared_intermediate_size": 32, "logits_scaling": 4.0},
            **{"layer_types": ["linear_attention", "full_attention"]},
        },
    ),
    "falcon_h1": Kind(
        "FalconH1Config",
        "hybrid: Mamba-2 and attention in each layer",
        {**MAMBA_HEADS, "mamba_d_ssm": 64, "lm_head_multiplier": 0.5},
    ),
    "nemotron_h": Kind(
        "NemotronHConfig",
        "hybrid: Mamba-2, attention and plain layers, mixture",
        {
            **{"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp"], "n_groups": 1},
            **{"mamba_num_heads": 4, "mamba_head_dim": 16, "ssm_state_size": 8, "chunk_size": 8},
            **{"n_routed_experts": 4, "moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 32},
        },
    ),
    "zamba": Kind(
        "ZambaConfig",
        "hybrid: Mamba and shared attention",
        {
            **{"layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_d_state": 8},
            **{"mamba_dt_rank": 4, "num_hidden_layers": 4},
            **{"use_mamba_kernels": False, "attention_hidden_size": 64, "attention_head_dim": 16},
        },
    ),
    "zamba2": Kind(
        "Zamba2Config",
        "hybrid: Mamba-2 and shared attention",
        {
            **{"layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_d_state": 8},
            **{"n_mamba_heads": 4, "num_hidden_layers": 4, "chunk_size": 8, "head_dim": 16},
            **{"num_key_value_heads": 4, "adapter_rank": 4},
        },
    ),
    "recurrent_gemma": Kind(
        "RecurrentGemmaConfig",
        "hybrid: gated linear recurrences and sliding attention, softcap",
        {
            **{"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16, "logits_soft_cap": 5.0},
            **{"num_key_value_heads": 1},
        },
    ),
    "mamba": Kind("MambaConfig", "recurrent", {**MAMBA, "time_step_rank": 4}),
    "falcon_mamba": Kind("FalconMambaConfig", "recurrent", {**MAMBA, "time_step_rank": 4}),
    "mamba2": Kind(
        "Mamba2Config", "recurrent", {**MAMBA, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8}
    ),
    "rwkv": Kind(
        "RwkvConfig", "recurrent", {"context_length": 1024, "attention_hidden_size": 32, "rescale_every": 1}
    ),
    "xlstm": Kind(
        "xLSTMConfig",
        "recurrent, softcap",
        {
            **{"hidden_size": 128, "embedding_dim": 128, "num_heads": 4, "num_blocks": 2, "chunk_size": 8},
            **{"tie_word_embeddings": False},
        },
    ),
}
"""Those of the table."""


def write(folder: Path, kind: str, dtype: str = "float32", **changes: Any) -> Path:
    """A model of one of `KINDS` in a directory."""
    name, own = KINDS[kind]
    return _write(folder, name, {**COMMON, **own, **changes}, dtype)


def write_any(folder: Path, kind: str, dtype: str = "float32", **changes: Any) -> Path:
    """A model of one of `ALL` in a directory."""
    import transformers

    made = ALL[kind]
    usual: Any = getattr(transformers, made.config)
    known = {*usual().to_dict(), *usual.attribute_map}
    common = {name: value for name, value in COMMON.items() if name in known}
    more = len(_tokenizer()) + 6  # AutoTokenizer adds a token for some types
    settings = {"vocab_size": more, **common, **made.settings, **changes}
    return _write(folder, made.config, settings, dtype)


def _write(folder: Path, name: str, settings: dict[str, Any], dtype: str) -> Path:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM

    tokenizer = _tokenizer()
    end = tokenizer.convert_tokens_to_ids(SPECIAL[1])
    words = {"vocab_size": len(tokenizer), "eos_token_id": end, "pad_token_id": end}
    torch.manual_seed(0)
    config = getattr(transformers, name)(**{**words, **settings})
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
