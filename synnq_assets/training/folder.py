"""Where everything lies in a job folder; the layout is that of records/orders.py."""

from dataclasses import dataclass
from pathlib import Path

from synnq_assets.errors import OrderError


@dataclass(frozen=True)
class JobFolder:
    """The folder around one `order.json`, on the compute side."""

    order_path: Path

    @property
    def root(self) -> Path:
        """The folder that holds the order."""
        return self.order_path.parent

    @property
    def recipe_path(self) -> Path:
        """Canonical JSON of the recipe."""
        return self.root / "recipe.json"

    @property
    def checkpoint_dir(self) -> Path:
        """The base checkpoint's files."""
        return self.root / "inputs" / "checkpoint"

    @property
    def registry_dir(self) -> Path:
        """The registry's metadata, as it came with the order."""
        return self.root / "registry"

    @property
    def work_dir(self) -> Path:
        """The payload's own checkpoints."""
        return self.root / "work"

    @property
    def progress_path(self) -> Path:
        """The last progress report."""
        return self.root / "progress.json"

    @property
    def submission_dir(self) -> Path:
        """The answer; complete once it holds `submission.json`."""
        return self.root / "submission"

    @property
    def submission_path(self) -> Path:
        """The signed manifest of the answer, written last."""
        return self.submission_dir / "submission.json"

    def sealed_path(self, shard_id: str) -> Path:
        """One sealed shard."""
        return self.root / "inputs" / "shards" / f"{shard_id}.sealed"

    def read_order(self) -> bytes:
        """Return the order's envelope as received.

        Raises:
            OrderError: the file is missing or unreadable.
        """
        try:
            return self.order_path.read_bytes()
        except OSError as error:
            raise OrderError(f"cannot read order {self.order_path}: {error.strerror}") from error
