"""Attribution: can the model's prediction be traced to the tokens that caused it?

Integrated gradients from a baseline of end-of-text embeddings attribute the log-probability of the
model's own next token to the input tokens. Three figures say whether the explanation may be used:

- completeness error: |sum of attributions - (f(input) - f(baseline))| / |f(input) - f(baseline)|,
  summed over sequences; the axiom asks for 0, the finite number of steps leaves a little;
- comprehensiveness: how far the log-probability falls when the top 10, 20 and 50 % of tokens are
  replaced by the baseline, beside the fall for random tokens;
- faithful share: share of sequences in which the attributed tokens matter more than random ones.

Source: Sundararajan et al. 2017, arXiv:1703.01365 (integrated gradients); DeYoung et al. 2020,
arXiv:1911.03429 (comprehensiveness over bins). Imports torch.

Shapes: B sequences, T tokens, D hidden size.
"""

from typing import Any

import numpy as np
import torch

STEPS = 16
SHARES = (0.1, 0.2, 0.5)
RANDOM_DRAWS = 5
NUM_TOKENS = 24


def measure_attribution(model: Any, ids_BT: torch.Tensor, *, baseline_id: int) -> dict[str, float]:
    """Return the attribution figures of a causal language model.

    Args:
        model: takes `inputs_embeds` and returns logits.
        ids_BT: token ids [B, T] on the model's device.
        baseline_id: token that stands for "nothing here".

    Units: nats of log-probability of the predicted token; accumulated in float64.
    """
    embed = model.get_input_embeddings()
    with torch.no_grad():
        input_BTD = embed(ids_BT)
        blank_BTD = embed(torch.full_like(ids_BT, baseline_id))
        target_B = model(inputs_embeds=input_BTD, use_cache=False).logits[:, -1].argmax(-1)
        full_B = score(model, input_BTD, target_B).double()
        change_B = full_B - score(model, blank_BTD, target_B).double()
    attribution_BT = integrate_gradients(model, input_BTD, blank_BTD, target_B)
    top_BT = attribution_BT.argsort(dim=1, descending=True)
    random = np.random.default_rng(0)
    orders = [
        torch.from_numpy(random.permuted(top_BT.cpu().numpy(), axis=1)).to(top_BT.device)
        for _ in range(RANDOM_DRAWS)
    ]
    falls = [
        _mean_fall(model, input_BTD, blank_BTD, target_B, order) for order in (top_BT, *orders)
    ]
    guided_B, blind_B = falls[0], torch.stack(falls[1:]).mean(0)
    error = (attribution_BT.sum(1) - change_B).abs().sum() / change_B.abs().sum().clamp_min(1e-9)
    return {
        "attribution/completeness_error": float(error),
        "attribution/comprehensiveness": float(guided_B.mean()),
        "attribution/comprehensiveness_random": float(blind_B.mean()),
        "attribution/faithful_share": _share(guided_B > blind_B, guided_B),
    }


def score(model: Any, embeds_BTD: torch.Tensor, target_B: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of the target after the last token, [B]."""
    logits_BV = model(inputs_embeds=embeds_BTD, use_cache=False).logits[:, -1].float()
    return torch.log_softmax(logits_BV, dim=-1).gather(1, target_B[:, None])[:, 0]


def integrate_gradients(
    model: Any, input_BTD: torch.Tensor, blank_BTD: torch.Tensor, target_B: torch.Tensor
) -> torch.Tensor:
    """Return attributions [B, T] in float64: midpoint rule along the straight path."""
    path_BTD = input_BTD - blank_BTD
    total_BTD = torch.zeros_like(input_BTD, dtype=torch.float64)
    with torch.enable_grad():
        for k in range(STEPS):
            point = (blank_BTD + (k + 0.5) / STEPS * path_BTD).detach().requires_grad_(True)
            (gradient,) = torch.autograd.grad(score(model, point, target_B).sum(), point)
            total_BTD += gradient.double()
    return (path_BTD.double() * total_BTD / STEPS).sum(-1)


def _mean_fall(
    model: Any,
    input_BTD: torch.Tensor,
    blank_BTD: torch.Tensor,
    target_B: torch.Tensor,
    order_BT: torch.Tensor,
) -> torch.Tensor:
    """Return the mean fall over `SHARES` when the first tokens of an order are blanked, [B]."""
    num_tokens = input_BTD.shape[1]
    with torch.no_grad():
        full_B = score(model, input_BTD, target_B).double()
        falls = []
        for share in SHARES:
            rank_BT = order_BT.argsort(dim=1)
            gone_BT = rank_BT < max(1, round(share * num_tokens))
            masked_BTD = torch.where(gone_BT[..., None], blank_BTD, input_BTD)
            falls.append(full_B - score(model, masked_BTD, target_B).double())
    return torch.stack(falls).mean(0)


def _share(flags_B: torch.Tensor, values_B: torch.Tensor) -> float:
    return float("nan") if bool(values_B.isnan().any()) else float(flags_B.double().mean())
