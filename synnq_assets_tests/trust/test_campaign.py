import pytest

from synnq_assets.errors import FederationError, ObjectConflictError, SettingsError
from synnq_assets.settings import resolve_settings
from synnq_assets.trust import Home
from synnq_assets_tests.builders import build_checkpoint_record


@pytest.fixture
def home(tmp_path):
    return Home.create(tmp_path / "home", resolve_settings("local", "smoke"))


def test_a_home_opens_with_the_keys_that_it_was_created_with(home):
    again = Home.open(home.path)
    assert again.coordinator.public_key == home.coordinator.public_key
    assert oct((home.path / "keys" / "coordinator.pem").stat().st_mode)[-3:] == "600"


def test_a_home_is_never_overwritten(home):
    with pytest.raises(SettingsError, match="is not empty"):
        Home.create(home.path, home.settings)


def test_opening_nothing_says_what_to_do(tmp_path):
    with pytest.raises(SettingsError, match="run `synnq init` first"):
        Home.open(tmp_path)


def test_a_record_is_written_once(home):
    record = build_checkpoint_record()
    home.campaign.put_checkpoint(record, home.coordinator)
    home.campaign.put_checkpoint(record, home.coordinator)
    with pytest.raises(ObjectConflictError, match="already holds another checkpoint-record"):
        home.campaign.put_checkpoint(
            record.model_copy(update={"tokens_total": 1}), home.coordinator
        )


def test_the_chain_is_followed_from_parent_to_parent(home):
    first = build_checkpoint_record("r0000")
    second = build_checkpoint_record("r0001", parent=first)
    for record in (first, second):
        home.campaign.put_checkpoint(record, home.coordinator)
    assert [record.round for record in home.campaign.get_chain("r0001")] == ["r0000", "r0001"]


def test_a_broken_chain_is_an_error(home):
    first = build_checkpoint_record("r0000")
    stranger = build_checkpoint_record("r0000", name="another")
    second = build_checkpoint_record("r0001", parent=stranger)
    for record in (first, second):
        home.campaign.put_checkpoint(record, home.coordinator)
    with pytest.raises(FederationError, match="r0001 does not descend from r0000"):
        home.campaign.get_chain("r0001")
    with pytest.raises(FederationError, match="r0005 is missing"):
        home.campaign.get_chain("r0005")
