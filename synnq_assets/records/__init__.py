"""Values that cross a boundary: frozen, typed, validated, with one canonical form.

In: bytes from disk or from another organisation. Out: values that every room trusts in shape
(never in truth: signatures are `trust`'s business).

    base.py         Record, canonical bytes, digests, strict JSON
    identifiers.py  ids that may become a path or a partition key
    corpora.py      curation report
    shards.py       shard manifest
    federation.py   agreement, profile, node record, round base, allocation
    orders.py       order, learning-rate segment, checkpoint reference
    jobs.py         job specification, handle, status
    destruction.py  what nodes certify as destroyed, and what they owe
    submissions.py  submission, check result, verdict
    rounds.py       checkpoint record, evaluation record
    releases.py     release record
"""
