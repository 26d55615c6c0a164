"""Weights of a round: tokens x time decay x domain balance x score, normalised, then capped.

    tokens   n_i, the order's unique tokens
    decay    s_i = (1 + staleness_rounds)^-exponent * 2^(-age_seconds / half_life_seconds)
    score    q_i, from intake
    domain   the token-weighted mean over the submission's domains of clip(pi_d / p_d, min, max),
             where pi is the target mix and p_d the domain's share of sum(n_i s_i q_i)

What an organisation has above its cap goes to the others; see caps.py.

The clip keeps a rare domain from handing the whole round to one site. A domain that the target
mix does not name has pi_d = 0 and gets the lower limit; an empty target mix leaves the mix as it
was trained.

Sources: staleness, Nguyen et al. 2022 (FedBuff, arXiv:2106.06639) and Xie et al. 2019 (FedAsync,
arXiv:1903.03934); tokens, McMahan et al. 2017 (FedAvg, arXiv:1602.05629).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synnq_assets.aggregation.candidates import Candidate
from synnq_assets.aggregation.caps import cap_weights
from synnq_assets.errors import AggregationError
from synnq_assets.settings.recipe import AggregationSettings


@dataclass(frozen=True)
class Weight:
    """One candidate's weight and its factors. `tokens` is its share of the round's tokens."""

    tokens: float
    decay: float
    domain: float
    score: float
    weight: float


def build_decay(candidate: Candidate, settings: AggregationSettings) -> float:
    """Return the time decay in (0, 1]; 1 for a fresh submission on the current base."""
    by_rounds = float((1 + candidate.staleness_rounds) ** -settings.staleness_exponent)
    return by_rounds * math.exp2(-candidate.age_seconds / settings.half_life_seconds)


def _domain_shares(candidate: Candidate) -> dict[str, float]:
    total = sum(candidate.cell_tokens.values())
    shares: dict[str, float] = {}
    for cell in sorted(candidate.cell_tokens):
        domain = cell.partition(".")[2] or cell
        shares[domain] = shares.get(domain, 0.0) + candidate.cell_tokens[cell] / max(total, 1)
    return shares


def build_domain_factors(
    candidates: Sequence[Candidate], masses: Sequence[float], settings: AggregationSettings
) -> list[float]:
    """Return each candidate's domain factor.

    Args:
        candidates: in canonical order.
        masses: n_i s_i q_i, in the same order.
        settings: target mix and the limits of the correction.
    """
    target_total = math.fsum(settings.target_mix.values())
    total = math.fsum(masses)
    if target_total == 0 or total == 0:
        return [1.0] * len(candidates)
    shares = [_domain_shares(candidate) for candidate in candidates]
    domains = sorted({domain for row in shares for domain in row})
    corrections: dict[str, float] = {}
    for domain in domains:
        trained = math.fsum(m * row.get(domain, 0.0) for m, row in zip(masses, shares, strict=True))
        wanted = settings.target_mix.get(domain, 0.0) / target_total
        ratio = wanted * total / trained if trained > 0 else settings.domain_correction_max
        corrections[domain] = min(
            max(ratio, settings.domain_correction_min), settings.domain_correction_max
        )
    return [_weighted_correction(row, corrections) for row in shares]


def _weighted_correction(shares: Mapping[str, float], corrections: Mapping[str, float]) -> float:
    if not shares:
        return 1.0
    return math.fsum(share * corrections[domain] for domain, share in shares.items())


def weigh_candidates(
    candidates: Sequence[Candidate], settings: AggregationSettings
) -> tuple[Weight, ...]:
    """Return one weight per candidate, in the same order; they sum to one.

    Raises:
        AggregationError: every weight is zero, a score is above one, or no weights keep the caps.
    """
    for candidate in candidates:
        if candidate.score > 1:
            raise AggregationError(f"{candidate.assignment_id}: score {candidate.score} is above 1")
    decays = [build_decay(candidate, settings) for candidate in candidates]
    masses = [c.num_tokens * s * c.score for c, s in zip(candidates, decays, strict=True)]
    domains = build_domain_factors(candidates, masses, settings)
    products = [mass * domain for mass, domain in zip(masses, domains, strict=True)]
    total = math.fsum(products)
    if total <= 0:
        raise AggregationError(
            "all weights of the round are zero (tokens, decay, domain balance or score); "
            "nothing can be aggregated"
        )
    weights = cap_weights(candidates, [product / total for product in products])
    num_tokens = sum(candidate.num_tokens for candidate in candidates)
    return tuple(
        Weight(
            tokens=candidate.num_tokens / num_tokens,
            decay=decay,
            domain=domain,
            score=candidate.score,
            weight=weight,
        )
        for candidate, decay, domain, weight in zip(
            candidates, decays, domains, weights, strict=True
        )
    )
