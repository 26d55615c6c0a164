"""What is aggregated is what was recorded, byte by byte; else nothing is."""

import pytest

from synnq_assets.aggregation import PinnedFile, aggregate_round
from synnq_assets.errors import AggregationError
from synnq_assets.settings.recipe import AggregationSettings

from .makers import make_candidate, pin, write_tensors


def make_round(tmp_path):
    base = pin(write_tensors(tmp_path / "base.safetensors", {"a": [1, 2, 3, 4]}))
    outer = pin(write_tensors(tmp_path / "outer.safetensors", {"a": [0, 0, 0, 0]}))
    candidates = [
        make_candidate(tmp_path, name, {"a": [1, 1, 1, 1]}) for name in ("north", "south", "east")
    ]
    return base, outer, candidates


def change_last_byte(path):
    """Another finite value in the last tensor: nothing but the digest can tell."""
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def run(tmp_path, base, outer, candidates):
    return aggregate_round(
        base=base,
        outer_state=outer,
        candidates=candidates,
        settings=AggregationSettings(),
        out_dir=tmp_path / "out",
    )


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("base", "the base checkpoint"),
        ("outer", "the outer state"),
        ("south", r"the update of south \(r0001.south.1\)"),
    ],
)
def test_a_changed_file_is_named_and_nothing_is_written(tmp_path, name, label):
    base, outer, candidates = make_round(tmp_path)
    run(tmp_path, base, outer, candidates)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    changed = tmp_path / f"{name}.safetensors"
    change_last_byte(changed)
    says = rf"{label} is not what was recorded: {changed} has SHA-256"
    with pytest.raises(AggregationError, match=says):
        run(tmp_path, base, outer, candidates)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_another_sound_file_in_the_place_of_the_base_is_refused(tmp_path):
    base, outer, candidates = make_round(tmp_path)
    other = pin(write_tensors(tmp_path / "other.safetensors", {"a": [4, 3, 2, 1]}))
    with pytest.raises(AggregationError, match="the base checkpoint is not what was recorded"):
        run(tmp_path, PinnedFile(other.path, base.sha256), outer, candidates)
