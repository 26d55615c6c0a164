"""The probe loads the base checkpoint that the order names, or judges nothing."""

import pytest

from synnq_assets.errors import SubmissionError


def test_another_base_checkpoint_than_the_order_s_judges_nobody(world, tmp_path):
    folder = world.submit(tmp_path / "in")
    data = bytearray(world.base_model.read_bytes())
    data[-1] ^= 1
    other = tmp_path / "model.safetensors"
    other.write_bytes(data)
    with pytest.raises(SubmissionError, match="is not the one that the order names"):
        world.judge(folder, probe=True, base_model=other)
