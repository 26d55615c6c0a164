"""The backend contract. Every method returns at once; no method waits for a job to end."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from synnq_assets.records.jobs import JobHandle, JobSpec, JobStatus


class ComputeBackend(ABC):
    """Somewhere to run jobs."""

    name: ClassVar[str]

    @abstractmethod
    def submit(self, spec: JobSpec) -> JobHandle:
        """Start a staged job, once: submitting the same job folder again returns its first handle.

        Raises:
            ComputeError: the backend refused; nothing runs.
        """

    @abstractmethod
    def poll(self, handles: Sequence[JobHandle]) -> dict[str, JobStatus]:
        """Return a status per assignment id, in one call to the scheduler.

        A backend that does not answer reports `unknown`, never a failure.
        """

    @abstractmethod
    def cancel(self, handle: JobHandle) -> None:
        """Ask a job to end (it may checkpoint), then end it; a job that has ended is left alone."""

    @abstractmethod
    def fetch(self, handle: JobHandle) -> Path:
        """Return a local folder with what the job put into its `submission/` folder.

        Raises:
            ComputeError: there is none.
        """
