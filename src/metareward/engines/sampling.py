"""Drawing tokens: temperature and top-p by inverse CDF, each row with a random stream of its own."""

import numpy as np
import torch
from torch import Tensor

_HEAD = 256  # the nucleus is sought among so many likeliest tokens before the whole vocabulary is sorted


def uniforms(seed: int, count: int) -> np.ndarray:
    """The first `count` numbers in [0, 1) of a request's own stream; number t decides token t."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def draw(logits_BV: Tensor, temperature_B: Tensor, top_p_B: Tensor, uniform_B: Tensor) -> Tensor:
    """One token id a row, by inverse CDF over the nucleus in order of falling probability.

    The nucleus is the smallest set of likeliest tokens whose probability reaches top_p (Holtzman et al.
    2020), exact for any vocabulary; equal probabilities are ordered by token id. Temperature 0 takes the
    likeliest token. A row's result depends on nothing but its own row. Shapes: B rows, V vocabulary;
    temperature, top_p and uniform are float64.
    """
    greedy_B = temperature_B == 0
    likeliest_B = logits_BV.argmax(-1)
    if bool(greedy_B.all()):
        return likeliest_B
    warm_B1 = torch.where(greedy_B, 1.0, temperature_B)[:, None]
    scaled_BV = logits_BV.float() / warm_B1.float()
    chosen_B, sure_B = _invert(scaled_BV, min(_HEAD, scaled_BV.shape[1]), top_p_B, uniform_B)
    if not bool(sure_B.all()):
        rows_R = (~sure_B).nonzero()[:, 0]
        whole = scaled_BV.shape[1]
        chosen_B[rows_R], _ = _invert(scaled_BV[rows_R], whole, top_p_B[rows_R], uniform_B[rows_R])
    return torch.where(greedy_B, likeliest_B, chosen_B)


def _invert(scaled_BV: Tensor, head: int, top_p_B: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    """The drawn ids, and for which rows the `head` likeliest tokens were enough to know them."""
    token_BK, probability_BK = _likeliest(scaled_BV, head)
    cumulative_BK = probability_BK.cumsum(-1)
    inside_BK = (cumulative_BK - probability_BK) < top_p_B[:, None]
    inside_BK[:, 0] = True
    last_B = inside_BK.sum(-1) - 1
    open_B = top_p_B >= 1
    mass_B = torch.where(open_B, 1.0, cumulative_BK.gather(1, last_B[:, None])[:, 0])
    target_B = uniform_B * mass_B
    index_B = torch.minimum((cumulative_BK <= target_B[:, None]).sum(-1), last_B)
    known_B = cumulative_BK[:, -1]
    sure_B = torch.where(open_B, target_B < known_B, known_B >= top_p_B)
    if head < scaled_BV.shape[1]:
        # Tokens as likely as the last one seen may have equals unseen, with smaller ids.
        edge_B = torch.where(open_B, index_B, last_B)
        sure_B &= probability_BK.gather(1, edge_B[:, None])[:, 0] > probability_BK[:, -1]
    return token_BK.gather(1, index_B[:, None])[:, 0], sure_B


def _likeliest(scaled_BV: Tensor, head: int) -> tuple[Tensor, Tensor]:
    """Ids and float64 probabilities of the `head` likeliest tokens, falling, ties by id."""
    total_B1 = scaled_BV.logsumexp(-1, keepdim=True)
    if head == scaled_BV.shape[1]:
        top_BK, token_BK = scaled_BV.sort(dim=-1, descending=True, stable=True)
    else:
        top_BK, token_BK = scaled_BV.topk(head, dim=-1)
        # topk promises nothing about ties, and bfloat16 logits are full of them.
        token_BK, by_id_BK = token_BK.sort(-1)
        top_BK, by_size_BK = top_BK.gather(1, by_id_BK).sort(dim=-1, descending=True, stable=True)
        token_BK = token_BK.gather(1, by_size_BK)
    return token_BK, (top_BK - total_B1).double().exp()
