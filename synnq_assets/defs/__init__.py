"""The only Dagster code: what exists (assets), what is checked, and what starts what (sensors).

One file per group, named like the room that does the work. An asset body opens the home, logs its
intent, calls one room, writes a signed record, and returns metadata.

    partitions.py   source, cell, round, round x site
    resources.py    the coordinator's home
    recording.py    intent and result around every asset; metadata
    corpora.py shards.py federation.py compute.py submissions.py
    aggregation.py evaluation.py release.py trust.py
    assignments.py  which order a run is about
    sealed.py       what was sealed for one order
    destruction.py  shards that are gone, nodes that owe a certificate
    reaping.py      runs whose process is gone
    operations.py   reassign shards, cancel a job, publish the registry
    jobs.py         assets that are materialised together
sensors/        prepare, open, dispatch, monitor, aggregate, release, refresh
    schedules.py    nightly, weekly, daily; off by default
"""

import warnings

from dagster import BetaWarning, PreviewWarning

# Partitioned checks, single-run backfills and multi-partition mappings are marked preview or beta;
# the version is pinned, and the tests cover what is used.
warnings.filterwarnings("ignore", category=BetaWarning)
warnings.filterwarnings("ignore", category=PreviewWarning)
