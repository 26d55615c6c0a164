"""An order that is not ours is refused, with a sentence that says why, before anything opens."""

from datetime import timedelta
from pathlib import Path

import pytest

from synnq_assets.errors import OrderError, SettingsError, TrainingError
from synnq_assets.records.base import now_at, sha256_hex
from synnq_assets.records.jobs import Progress
from synnq_assets.training import run_order
from synnq_assets.training.verifying import parse_claimed_assignment
from synnq_assets.trust import SigningKey
from synnq_assets_tests.training.order_folder import OrderFolder, write_order_folder


@pytest.fixture
def job(tmp_path: Path) -> OrderFolder:
    return write_order_folder(tmp_path, num_tokens=(40,))


def refuse(job: OrderFolder, words: str) -> Progress:
    """Run the order, expect a refusal with these words, return the failure report."""
    with pytest.raises(OrderError, match=words):
        run_order(job.order_path, job.node)
    assert not (job.root / "submission").exists()
    assert not (job.node_path.parent / "exposure.txt").exists()
    report = Progress.parse((job.root / "progress.json").read_bytes())
    assert report.phase == "failed"
    assert report.failure.startswith("OrderError@")
    return report


def test_an_order_signed_by_a_stranger_is_refused(job: OrderFolder) -> None:
    job.sign_order(SigningKey.generate())
    refuse(job, "not signed by the coordinator that this node trusts .signed by an unknown key")


def test_an_order_that_the_node_signed_itself_is_refused(job: OrderFolder) -> None:
    job.sign_order(job.signing_key)
    refuse(job, "not signed by the coordinator")


def test_an_order_changed_after_signing_is_refused(job: OrderFolder) -> None:
    signed = job.order_path.read_bytes()
    job.order_path.write_bytes(signed.replace(b'"sig":"', b'"sig":"AAAA', 1))
    refuse(job, "not signed by the coordinator")


def test_an_order_for_another_node_is_refused(job: OrderFolder) -> None:
    job.sign_order(node_id="torino-02")
    refuse(job, "names node torino-02, but this is torino-01")


def test_an_order_of_another_federation_is_refused(job: OrderFolder) -> None:
    job.sign_order(federation="other")
    refuse(job, "names federation other")


def test_an_order_under_another_agreement_is_refused(job: OrderFolder) -> None:
    job.sign_order(agreement_sha256="1" * 64)
    refuse(job, "names participation agreement 1111")


def test_an_order_past_its_deadline_is_refused(job: OrderFolder) -> None:
    job.sign_order(deadline_at=now_at() - timedelta(seconds=1))
    refuse(job, "deadline of r0001.torino-01.1 passed at ")


def test_a_recipe_that_the_order_does_not_name_is_refused(job: OrderFolder) -> None:
    path = job.root / "recipe.json"
    path.write_bytes(path.read_bytes().replace(b'"epochs":2', b'"epochs":9'))
    refuse(job, "recipe.json is not the recipe that the order names")


def test_a_recipe_of_another_version_is_refused_by_its_setting(job: OrderFolder) -> None:
    path = job.root / "recipe.json"
    path.write_bytes(path.read_bytes().replace(b'"epochs":2', b'"epoochs":2'))
    job.sign_order(recipe_sha256=sha256_hex(path.read_bytes()))
    refuse(job, "does not understand the recipe: .*epoochs: unknown setting; did you mean 'epochs'")


def test_a_damaged_base_checkpoint_is_refused(job: OrderFolder) -> None:
    path = job.root / "inputs" / "checkpoint" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refuse(job, "base file model.safetensors is not the one that the order names")


def test_a_missing_base_checkpoint_is_named(job: OrderFolder) -> None:
    (job.root / "inputs" / "checkpoint" / "model.safetensors").unlink()
    refuse(job, "cannot read base file .*model.safetensors")


def test_a_missing_order_is_named(tmp_path: Path, job: OrderFolder) -> None:
    with pytest.raises(OrderError, match=r"cannot read order .*nowhere"):
        run_order(tmp_path / "nowhere" / "order.json", job.node)


def test_a_pinned_key_that_is_no_key_is_a_settings_error(job: OrderFolder) -> None:
    node = job.node.model_copy(update={"coordinator_public_key": "AAAA"})
    with pytest.raises(SettingsError, match="coordinator_public_key"):
        run_order(job.order_path, node)


def test_a_foreign_submission_in_the_folder_is_not_taken_for_an_answer(job: OrderFolder) -> None:
    (job.root / "submission").mkdir()
    (job.root / "submission" / "submission.json").write_bytes(job.order_path.read_bytes())
    with pytest.raises(TrainingError, match="is not an answer of this node"):
        run_order(job.order_path, job.node)


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b'{"payload":7}', b'{"payload":"W10="}'])
def test_bytes_that_are_no_order_claim_no_assignment(data: bytes) -> None:
    assert parse_claimed_assignment(data) is None
