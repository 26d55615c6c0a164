"""The audit log as an asset, and its comparison with Dagster's own events, both ways."""

import dagster as dg

from synnq_assets.defs.recording import AUDIT_INDEX, build_result, recorded, render_table
from synnq_assets.defs.resources import HomeResource
from synnq_assets.errors import TrustError
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


def iter_materializations(instance: dg.DagsterInstance, key: str) -> list[dg.EventLogRecord]:
    """Return all materialisation records of an asset."""
    records: list[dg.EventLogRecord] = []
    cursor = None
    while True:
        page = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=dg.AssetKey(key)), limit=PAGE, cursor=cursor
        )
        records += page.records
        if not page.has_more:
            return records
        cursor = page.cursor


def compare_with_events(opened: Home, instance: dg.DagsterInstance) -> list[str]:
    """Return every disagreement between the audit log and Dagster's event log.

    Forward: a materialisation must point to a result entry of its own asset and run. Backward: a
    result entry of a finished run must have its materialisation (or, for a refused submission,
    none by design).
    """
    entries: dict[int, AuditEntry] = dict(opened.audit.iter_entries())
    problems, seen = [], set()
    for key in AUDITED:
        for record in iter_materializations(instance, key):
            value = record.asset_materialization and record.asset_materialization.metadata.get(
                AUDIT_INDEX
            )
            position = value.value if value is not None else None
            where = f"{key}[{record.partition_key or ''}] in run {record.run_id[:8]}"
            entry = entries.get(position) if isinstance(position, int) else None
            if entry is None:
                problems.append(f"{where}: Dagster shows it, the audit log does not")
            elif (entry.phase, entry.action, entry.run_id) != ("result", key, record.run_id):
                problems.append(f"{where}: audit entry {position} is about something else")
            else:
                seen.add(position)
    for position, entry in entries.items():
        if entry.phase != "result" or entry.action not in AUDITED or not entry.run_id:
            continue
        if position in seen or entry.details.get("decision") == "refused":
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
