"""Where jobs run: submit, poll, cancel, fetch.

In: a job specification and a staged job folder. Out: a handle that any process can use later,
statuses, and the submission folder that the job wrote. Nothing here waits for a job.

    base.py       the backend contract
    local.py      detached processes on this machine
    attempts.py   one start of such a process: is it alive, how did it end, stop it
    staging.py    a job folder: order, recipe, checkpoint, shards
    supervise.sh  runs one attempt at a job, and writes down how it ended
"""

from synnq_assets.compute.attempts import Attempt, find_last_attempt, suspend_jobs
from synnq_assets.compute.base import ComputeBackend
from synnq_assets.compute.local import LocalBackend
from synnq_assets.compute.staging import StagedInputs, read_progress, stage_job, stage_registry
from synnq_assets.errors import ComputeError
from synnq_assets.settings.profile import SiteProfile

BACKENDS: dict[str, type[LocalBackend]] = {"local": LocalBackend}


def build_backend(profile: SiteProfile) -> ComputeBackend:
    """Return the backend of a site profile.

    Raises:
        ComputeError: this version has no backend of that kind.
    """
    kind = profile.compute.kind
    if kind not in BACKENDS:
        raise ComputeError(
            f"profile {profile.name!r} asks for the {kind} backend, which this version does not "
            f"have; available: {', '.join(BACKENDS)}"
        )
    return BACKENDS[kind]()


__all__ = [
    "BACKENDS",
    "Attempt",
    "ComputeBackend",
    "LocalBackend",
    "StagedInputs",
    "build_backend",
    "find_last_attempt",
    "read_progress",
    "stage_job",
    "stage_registry",
    "suspend_jobs",
]
