"""No organisation has more of a round's weights than its cap, however many nodes it brings.

What is above a cap goes to the others in proportion to their weights, until nobody is above: the
nearest weights, by ratio, that keep all caps. The smallest cap of an organisation's nodes is its
own. Enrolment decides who is an organisation; this only bounds what one of them can do.
"""

import math
from collections.abc import Sequence

from synnq_assets.aggregation.candidates import Candidate
from synnq_assets.errors import AggregationError


def cap_weights(candidates: Sequence[Candidate], weights: Sequence[float]) -> list[float]:
    """Return the weights under all caps, in the same order; they sum to one.

    Args:
        candidates: in canonical order.
        weights: of the candidates, summing to one.

    Raises:
        AggregationError: all who weigh are at their caps, and these sum to less than one.
    """
    parties = [candidate.organisation or candidate.node_id for candidate in candidates]
    caps: dict[str, float] = {}
    for party, candidate in zip(parties, candidates, strict=True):
        caps[party] = min(caps.get(party, 1.0), candidate.weight_cap)
    held = {
        party: math.fsum(w for p, w in zip(parties, weights, strict=True) if p == party)
        for party in caps
    }
    shares, capped = dict(held), set[str]()
    while over := {p for p, share in shares.items() if p not in capped and share > caps[p]}:
        capped |= over
        free = 1.0 - math.fsum(caps[party] for party in capped)
        rest = math.fsum(share for party, share in held.items() if party not in capped)
        if rest <= 0.0:
            raise AggregationError(
                f"the weight caps of the round's organisations sum to {1.0 - free:.3g}; wait for "
                "submissions of others, or raise a cap (`synnq nodes cap`)"
            )
        shares = {
            party: caps[party] if party in capped else share * free / rest
            for party, share in held.items()
        }
    if not capped:
        return list(weights)
    return [w * shares[p] / held[p] if w else 0.0 for p, w in zip(parties, weights, strict=True)]
