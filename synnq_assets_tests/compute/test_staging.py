from synnq_assets.compute import StagedInputs, stage_job
from synnq_assets.storage import FolderStore


def test_a_payload_that_writes_its_inputs_does_not_reach_the_store(tmp_path):
    store = FolderStore(tmp_path / "store")
    store.put_bytes("checkpoints/c/model.safetensors", b"global weights")
    store.put_bytes("shards/s/shard.sealed", b"sealed tokens")
    job_dir = tmp_path / "jobs" / "r0001.node-a.1"
    stage_job(
        job_dir,
        StagedInputs(
            order=b"{}",
            recipe=b"{}",
            checkpoint_files={
                "model.safetensors": store.local_path("checkpoints/c/model.safetensors")
            },
            shard_files={"s": store.local_path("shards/s/shard.sealed")},
        ),
    )
    inputs = {
        job_dir / "inputs" / "checkpoint" / "model.safetensors": b"global weights",
        job_dir / "inputs" / "shards" / "s.sealed": b"sealed tokens",
    }
    for path, content in inputs.items():
        assert path.read_bytes() == content
        assert path.stat().st_nlink == 1
        path.write_bytes(b"poison")
    assert store.get_bytes("checkpoints/c/model.safetensors") == b"global weights"
    assert store.get_bytes("shards/s/shard.sealed") == b"sealed tokens"
