import pytest

from synnq_assets.errors import SettingsError
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.modeling.models import count_parameters
from synnq_assets.settings import (
    Settings,
    load_profile,
    load_recipe,
    read_settings,
    resolve_settings,
    shipped_profiles,
    shipped_recipes,
)


@pytest.mark.parametrize("name", shipped_profiles())
def test_every_shipped_profile_loads(name):
    assert load_profile(name, {}).name == name


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_and_counts_its_parameters(name):
    recipe = load_recipe(name, {})
    assert recipe.name == name
    assert count_weights(recipe) == count_parameters(recipe)


def test_the_32b_recipe_has_32_billion_parameters():
    assert count_parameters(load_recipe("eu-32b", {})) == 32_548_459_520


def test_lumi_g_binds_eight_ranks_a_host():
    compute = load_profile("lumi-g", {}).compute
    assert (compute.kind, compute.ranks_per_host, len(compute.cpu_bind_masks)) == ("slurm", 8, 8)


def test_a_misspelt_name_suggests_the_nearest():
    with pytest.raises(SettingsError, match="no recipe named 'dmo'; did you mean 'demo'"):
        load_recipe("dmo", {})


def test_a_misspelt_setting_names_itself_and_the_nearest(tmp_path):
    with pytest.raises(
        SettingsError, match=r"rounds\.quorm: unknown setting; did you mean 'quorum'"
    ):
        load_recipe("smoke", {"SYNNQ_RECIPE__ROUNDS__QUORM": "3"})


def test_a_missing_setting_is_named(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: x\n")
    with pytest.raises(SettingsError, match="federation: required setting is missing"):
        load_recipe(str(path), {})


@pytest.mark.parametrize("text", ["- a\n", "a: [", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"r\.yaml"):
        load_recipe(str(path), {})


def test_a_missing_file_is_named():
    with pytest.raises(SettingsError, match="cannot read settings file nowhere.yaml"):
        load_recipe("nowhere.yaml", {})


def test_the_environment_overrides_a_nested_setting():
    assert load_recipe("smoke", {"SYNNQ_RECIPE__ROUNDS__QUORUM": "1"}).rounds.quorum == 1


def test_a_resolved_pair_reads_back_with_the_same_digest(tmp_path):
    settings = resolve_settings("local", "smoke")
    (tmp_path / "settings.json").write_bytes(settings.canonical_bytes())
    assert read_settings(tmp_path / "settings.json").digest == settings.digest


def test_the_digest_changes_with_any_setting():
    recipe = load_recipe("smoke", {})
    other = recipe.model_copy(update={"description": "another"})
    profile = load_profile("local", {})
    assert (
        Settings(profile=profile, recipe=recipe).digest
        != Settings(profile=profile, recipe=other).digest
    )
