"""The audit log as an asset, and its comparison with Dagster's own events, both ways."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from synnq_assets.defs.recording import AUDIT_INDEX, SHA256, build_result, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import TrustError
from synnq_assets.privacy.pseudonyms import PSEUDONYM
from synnq_assets.records.identifiers import NODE_ID
from synnq_assets.trust import Home
from synnq_assets.trust.audit import AuditEntry

GROUP = "trust"
PAGE = 1000
AUDITED = (
    *("curated_corpus", "tokenizer", "shard_plan", "signed_shards", "node_profiles"),
    *("round_base", "shard_allocation", "training_job", "local_checkpoint"),
    *(
        "shard_reassignment",
        "verified_submission",
        "global_checkpoint",
        "evaluation_report",
        "compliance_report",
    ),
    *("release", "audit_log"),
)


@dg.asset(group_name=GROUP, kinds={"sqlite"}, code_version="1")
def audit_log(context: dg.AssetExecutionContext, home: HomeResource) -> dg.MaterializeResult:
    """The append-only log, every hash recomputed and every signed head checked."""
    opened = home.open()
    with recorded(context, opened, "audit_log") as deed:
        size, root = opened.audit.verify(opened.log_verifier)
        deed.details.update(sha256=root, size=size)
    last = list(opened.audit.iter_entries())[-20:]
    rows = [(k, e.phase, e.action, e.subject, e.actor, e.logged_at.isoformat()) for k, e in last]
    return build_result(
        deed,
        sha256=root,
        metadata={
            "dagster/row_count": size,
            "root": root,
            "last entries": render_table(("#", "phase", "act", "subject", "actor", "at"), rows),
        },
    )


def iter_events(instance: dg.DagsterInstance, key: str) -> Iterator[dg.EventLogRecord]:
    """Yield all materialisation records of an asset, then its observations."""
    for fetch in (instance.fetch_materializations, instance.fetch_observations):
        cursor = None
        while True:
            page = fetch(
                dg.AssetRecordsFilter(asset_key=dg.AssetKey(key)), limit=PAGE, cursor=cursor
            )
            yield from page.records
            if not page.has_more:
                break
            cursor = page.cursor


@dataclass(frozen=True)
class ShownEvent:
    """What Dagster shows of one act: an asset's event and where it says that its evidence is."""

    asset: str
    partition: str
    run_id: str
    is_materialization: bool
    position: object  # in the audit log, if the event names one
    sha256: object

    @classmethod
    def read(cls, asset: str, record: dg.EventLogRecord) -> "ShownEvent":
        """Take an event apart."""
        event = record.asset_materialization or record.asset_observation
        metadata = event.metadata if event is not None else {}
        position, sha256 = metadata.get(AUDIT_INDEX), metadata.get(SHA256)
        return cls(
            asset,
            record.partition_key or "",
            record.run_id,
            record.asset_materialization is not None,
            position.value if position is not None else None,
            sha256.value if sha256 is not None else None,
        )

    def __str__(self) -> str:
        """Name the event for people."""
        return f"{self.asset}[{self.partition}] in run {self.run_id[:8]}"


def find_difference(shown: ShownEvent, entry: AuditEntry | None, subject: str) -> str | None:
    """Return how an event and the audit entry that it points to disagree, or None.

    Args:
        shown: the event.
        entry: that it points to.
        subject: of the entry, with the names of nodes where they can be revealed.
    """
    if entry is None:
        return f"{shown}: Dagster shows it, the audit log does not"
    told = (entry.phase, entry.action, entry.run_id)
    is_same = is_same_partition(read_partition(subject), shown.partition)
    if told != ("result", shown.asset, shown.run_id) or not is_same:
        return f"{shown}: audit entry {shown.position} is about something else"
    if shown.is_materialization and entry.details.get("sha256") != shown.sha256:
        return f"{shown}: Dagster shows another digest than audit entry {shown.position}"
    if shown.is_materialization == (entry.details.get("decision") == "refused"):
        return f"{shown}: a refusal and an acceptance disagree with audit entry {shown.position}"
    return None


def read_partition(subject: str) -> str:
    """Return the partition that an audit entry is about: `r0007.a.1` -> `r0007|a`."""
    round_key, *rest = subject.split(".")
    return f"{round_key}|{rest[0]}" if len(rest) == 2 and rest[1].isdigit() else subject


def is_same_partition(told: str, shown: str) -> bool:
    """Return whether the log and Dagster name one partition.

    Where an epoch's key was destroyed, its pseudonyms fit every node; round, run and digest still
    have to agree.
    """
    parts = re.split(PSEUDONYM, told)
    return re.fullmatch(NODE_ID.strip("^$").join(map(re.escape, parts)), shown) is not None


def compare_with_events(opened: Home, instance: dg.DagsterInstance) -> list[str]:
    """Return every disagreement between the audit log and Dagster's event log.

    Forward: a materialisation, or the observation of a refusal, must point to a result entry of its
    own asset, partition, run and digest, which no other event points to. Backward: a result entry
    of a finished run must have its event.
    """
    entries = dict(opened.audit.iter_entries())
    problems: list[str] = []
    seen: set[object] = set()
    for key in AUDITED:
        for record in iter_events(instance, key):
            shown = ShownEvent.read(key, record)
            if shown.position is None and not shown.is_materialization:
                continue  # an observation of progress, which claims nothing
            entry = entries.get(shown.position) if isinstance(shown.position, int) else None
            subject = opened.concealer.reveal(entry.subject) if entry else ""
            problem = find_difference(shown, entry, subject)
            if problem is None and shown.position in seen:
                problem = f"{shown}: audit entry {shown.position} is shown twice"
            if problem is None:
                seen.add(shown.position)
            else:
                problems.append(problem)
    for position, entry in entries.items():
        if entry.phase != "result" or entry.action not in AUDITED or not entry.run_id:
            continue
        if position in seen:
            continue
        run = instance.get_run_by_id(entry.run_id)
        if run is None or run.status == dg.DagsterRunStatus.SUCCESS:
            problems.append(
                f"{entry.action}[{entry.subject}], audit entry {position}: Dagster does not show it"
            )
    return problems


@dg.asset_check(asset=audit_log)
def agrees_with_dagster(
    context: dg.AssetCheckExecutionContext, home: HomeResource
) -> dg.AssetCheckResult:
    """The audit log and Dagster's event log tell the same story, both ways."""
    opened = home.open()
    try:
        opened.audit.verify(opened.log_verifier)
    except TrustError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    problems = compare_with_events(opened, context.instance)
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={"disagreements": render_table(("problem",), [(p,) for p in problems])},
    )
