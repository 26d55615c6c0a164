import math
from types import SimpleNamespace

import pytest
import torch

from synnq_assets.evaluation.attribution import (
    integrate_gradients,
    measure_attribution,
    score,
)


class SumModel(torch.nn.Module):
    """Logits (s, 0) where s is the sum of one-dimensional embeddings: log p(0) = log sigmoid(s)."""

    def __init__(self, values):
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(torch.tensor(values)[:, None])

    def get_input_embeddings(self):
        return self.embedding

    def forward(self, inputs_embeds, use_cache):
        total = inputs_embeds.sum(dim=(1, 2))
        logits = torch.stack([total, torch.zeros_like(total)], dim=1)
        return SimpleNamespace(logits=logits[:, None])


def test_integrated_gradients_share_out_the_change_in_proportion():
    model = SumModel([0.0, 1.0, 3.0])
    ids = torch.tensor([[1, 2, 0]])
    embedded, blank = model.embedding(ids), model.embedding(torch.zeros_like(ids))
    target = torch.tensor([0])
    parts = integrate_gradients(model, embedded, blank, target)[0].tolist()
    change = math.log(1 / (1 + math.exp(-4))) - math.log(1 / 2)  # log sigmoid(4) - log sigmoid(0)
    assert score(model, embedded, target).item() == pytest.approx(-0.0181499, abs=1e-6)
    assert sum(parts) == pytest.approx(change, rel=1e-3)
    assert parts == pytest.approx([change / 4, change * 3 / 4, 0.0], rel=1e-3)


def test_blanking_attributed_tokens_hurts_more_than_random_ones():
    model = SumModel([0.0, 0.01, 4.0])
    ids = torch.tensor([[1] * 9 + [2], [2] + [1] * 9])
    figures = measure_attribution(model, ids, baseline_id=0)
    assert figures["attribution/completeness_error"] < 0.01
    assert figures["attribution/faithful_share"] == 1.0
    # The one strong token goes first at every share. With s = 4 + 9 * 0.01 = 4.09 before and
    # 0.09, 0.08, 0.05 after (1, 2, 5 of 10 tokens blanked):
    log_sigmoid = [math.log(1 / (1 + math.exp(-s))) for s in (4.09, 0.09, 0.08, 0.05)]
    expected = log_sigmoid[0] - sum(log_sigmoid[1:]) / 3
    assert figures["attribution/comprehensiveness"] == pytest.approx(expected, rel=1e-5)
    assert 0 < figures["attribution/comprehensiveness_random"] < expected


def test_a_model_without_numbers_shows():
    figures = measure_attribution(SumModel([0.0, math.nan]), torch.tensor([[1, 1]]), baseline_id=0)
    assert all(math.isnan(value) for value in figures.values())
