"""A disk that fills up while the global checkpoint is written: RLIMIT_FSIZE, in a process apart."""

import subprocess
import sys

import numpy as np
import pytest

from synnq_assets.storage.files import describe_file

from .makers import write_tensors

PROGRAM = """
import resource, sys
from pathlib import Path

from synnq_assets.aggregation import aggregate_round
from synnq_assets.errors import StorageError
from synnq_assets.settings.recipe import AggregationSettings
from synnq_assets_tests.aggregation.makers import make_candidate, pin

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
candidate = make_candidate(folder, "one", {f"t{k:04}": [0.5] * 8 for k in range(1000)})
base = pin(folder / "base.safetensors")
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    aggregate_round(
        base=base,
        outer_state=None,
        candidates=[candidate],
        settings=AggregationSettings(),
        out_dir=folder / "out",
    )
except StorageError as error:
    print(error)
    sys.exit(3)
"""


def run(folder, limit):
    command = [sys.executable, "-c", PROGRAM, str(folder), str(limit)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


# the header takes 67 kB, more than any buffer; the whole file 99 kB
@pytest.mark.parametrize("limit", [4_096, 80_000])
def test_a_full_disk_leaves_the_checkpoint_before_it_as_it_was(tmp_path, limit):
    tensors = {f"t{k:04}": np.ones(8) for k in range(1000)}
    base = write_tensors(tmp_path / "base.safetensors", tensors)
    (tmp_path / "out").mkdir()
    earlier = write_tensors(tmp_path / "out" / "model.safetensors", tensors)
    before = describe_file(base), describe_file(earlier)
    result = run(tmp_path, limit)
    assert result.returncode == 3, result.stderr
    assert "cannot write" in result.stdout
    assert "model.safetensors: File too large" in result.stdout
    assert (describe_file(base), describe_file(earlier)) == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_with_room_enough_the_same_round_is_written(tmp_path):
    write_tensors(tmp_path / "base.safetensors", {f"t{k:04}": np.ones(8) for k in range(1000)})
    result = run(tmp_path, 1 << 20)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "model.safetensors").exists()
