import pytest
from pydantic import ValidationError

from synnq_assets.errors import RecordError, ReleaseError
from synnq_assets.records.orders import FileDigest
from synnq_assets.records.releases import ReleaseFile, ReleaseRecord
from synnq_assets.records.rounds import CheckpointRecord
from synnq_assets.release.inputs import verify_chain, verify_evaluations
from synnq_assets_tests.release.release_folder import NOON, make_checkpoint, make_evaluation


def make_chain() -> tuple[CheckpointRecord, ...]:
    first = make_checkpoint(0, FileDigest(name="m", sha256="1" * 64, num_bytes=1), None)
    second = make_checkpoint(1, FileDigest(name="m", sha256="2" * 64, num_bytes=1), first)
    third = make_checkpoint(2, FileDigest(name="m", sha256="3" * 64, num_bytes=1), second)
    return first, second, third


def test_a_chain_may_be_the_initial_checkpoint_alone():
    verify_chain(make_chain()[:1])


def test_a_whole_chain_passes():
    verify_chain(make_chain())


@pytest.mark.parametrize(
    ("pick", "message"),
    [
        ((), "empty"),
        ((1, 2), "not an initial checkpoint"),
        ((0, 2), "r0000 is not r0002's parent"),
        ((0, 1, 1), "r0001 is not r0001's parent"),
        ((0, 1, 2, 0), "r0002 is not r0000's parent"),
    ],
)
def test_a_broken_chain_is_named_at_the_break(pick: tuple[int, ...], message: str):
    chain = make_chain()
    with pytest.raises(ReleaseError, match=message):
        verify_chain(tuple(chain[k] for k in pick))


def test_a_chain_across_federations_is_refused():
    first, second, _ = make_chain()
    with pytest.raises(ReleaseError, match="r0001 cannot follow r0000"):
        verify_chain((first, second.model_copy(update={"federation": "other"})))


def test_an_evaluation_belongs_to_one_checkpoint_of_the_chain():
    chain = make_chain()
    evaluations = tuple(make_evaluation(record, 10.0) for record in chain)
    verify_evaluations(chain, evaluations)
    with pytest.raises(ReleaseError, match="evaluation of r0000"):
        verify_evaluations(chain, (evaluations[0], evaluations[0]))
    with pytest.raises(ReleaseError, match="evaluation of r0002"):
        verify_evaluations(chain[:2], evaluations)


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../b",
        "a//b",
        ".hidden",
        "a/.hidden",
        "",
        "a/",
        "a\n",
        "a\\b",
        "ä",
        "a/b/c/d/e",
        "x" * 201,
    ],
)
def test_a_path_that_could_leave_or_hide_is_refused(path: str):
    with pytest.raises(ValidationError):
        ReleaseFile(path=path, sha256="0" * 64, num_bytes=1)


def make_record(*paths: str, chain: tuple[str, ...] = ("1" * 64,)) -> ReleaseRecord:
    return ReleaseRecord(
        federation="synnq-smoke",
        model_name="m",
        round="r0001",
        checkpoint_sha256="1" * 64,
        chain=chain,
        shard_ids=(),
        settings_sha256="2" * 64,
        files=tuple(ReleaseFile(path=path, sha256="0" * 64, num_bytes=1) for path in paths),
        audit_size=0,
        audit_root="3" * 64,
        released_at=NOON,
    )


def test_a_release_record_survives_its_bytes():
    record = make_record("README.md", "provenance/rounds/r0001.json")
    assert ReleaseRecord.parse(record.canonical_bytes()) == record


def test_paths_that_differ_in_case_only_are_refused():
    with pytest.raises(ValidationError, match="upper and lower case"):
        make_record("README.md", "readme.md")


def test_a_chain_must_end_at_the_checkpoint():
    for chain in ((), ("4" * 64,)):
        with pytest.raises(ValidationError, match="chain does not end"):
            make_record("a", chain=chain)
    value = make_record("a").model_dump(mode="json")
    with pytest.raises(RecordError, match="audit_size"):
        ReleaseRecord.from_json_value({**value, "audit_size": -1})
