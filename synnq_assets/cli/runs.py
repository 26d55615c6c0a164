"""Dagster's runs, as the commands that start and stop Dagster see them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synnq_assets.trust import Home

if TYPE_CHECKING:
    import dagster as dg

STOPPED = "Dagster was stopped while this ran; the step is asked for again"
INTERRUPTED = "Execution was interrupted unexpectedly"  # Dagster's words for SIGTERM from outside


@dataclass(frozen=True)
class Failure:
    """A run that failed by itself: its step, and its error in the step's own words."""

    step: str
    sentence: str


@contextmanager
def open_instance(home: Home) -> Iterator["dg.DagsterInstance"]:
    """Open Dagster's storage of a home."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home.path / "dagster")) as instance:
        yield instance


def announce_stop(home: Home) -> list[str]:
    """Tell Dagster that its runs are about to be ended on purpose; return those not yet over."""
    import dagster as dg

    from synnq_assets.defs.sensors.steps import IN_PROGRESS

    with open_instance(home) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=IN_PROGRESS))
        for run in runs:
            # One that has no process yet would take itself for a duplicate, and fail.
            if run.status == dg.DagsterRunStatus.STARTED:
                instance.report_run_canceling(run, message=STOPPED)
    return [run.run_id for run in runs]


def close_stopped_runs(home: Home, run_ids: Sequence[str]) -> None:
    """Close what the stop cut short as cancelled; call it once no process of Dagster is left.

    Args:
        home: the home.
        run_ids: the runs that were not over when the stop began. Those that failed since then did
            so because of it.
    """
    import dagster as dg

    cut_short = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
    cut_short.append(dg.DagsterRunStatus.CANCELING)
    filters = [dg.RunsFilter(statuses=cut_short)]
    if run_ids:
        failed = [dg.DagsterRunStatus.FAILURE]
        filters.append(dg.RunsFilter(run_ids=list(run_ids), statuses=failed))
    with open_instance(home) as instance:
        for run in [run for chosen in filters for run in instance.get_runs(chosen)]:
            instance.report_run_canceled(run, message=STOPPED)


def list_failures(instance: "dg.DagsterInstance") -> list[Failure]:
    """Return the runs that failed, newest first; not those that were ended from outside."""
    import dagster as dg

    from synnq_assets.defs.reaping import GONE
    from synnq_assets.defs.sensors.steps import STEP_TAG

    failures = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])):
        closed = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        texts = [event.message or "" for entry in closed if (event := entry.dagster_event)]
        if not any(reason in text for text in texts for reason in (GONE, INTERRUPTED)):
            step = run.tags.get(STEP_TAG, run.job_name)
            failures.append(Failure(step, _read_sentence(instance, run.run_id)))
    return failures


def _read_sentence(instance: "dg.DagsterInstance", run_id: str) -> str:
    import dagster as dg

    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        error = entry.get_dagster_event().step_failure_data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            _, _, sentence = error.message.strip().partition(f"{error.cls_name}: ")
            return sentence or error.message.strip()
    return "it left no message; see its page"


def find_exhausted(instance: "dg.DagsterInstance", max_attempts: int) -> Failure | None:
    """Return the newest failure of a step that is not asked for any more; None while all go on."""
    import dagster as dg

    from synnq_assets.defs.sensors.steps import STEP_TAG

    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    if instance.get_runs_count(failed) < max_attempts:
        return None
    counts = Counter(run.tags.get(STEP_TAG, "") for run in instance.get_runs(failed))
    for step in (step for step, count in counts.items() if step and count >= max_attempts):
        done = dg.RunsFilter(tags={STEP_TAG: step}, statuses=[dg.DagsterRunStatus.SUCCESS])
        if not instance.get_runs_count(done):
            own = [failure for failure in list_failures(instance) if failure.step == step]
            return own[0] if own else Failure(step, "its process was ended each time")
    return None
