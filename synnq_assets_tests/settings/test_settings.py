import pytest

from synnq_assets.errors import SettingsError
from synnq_assets.modeling.architectures import count_weights
from synnq_assets.modeling.models import count_parameters
from synnq_assets.settings import (
    Settings,
    change_recipe,
    data_docs_url,
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


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ROUNDS__MINIMUM", "9", "rounds: quorum 2 is below minimum 9: .*raise quorum or lower"),
        (
            "TRAINING__SEQUENCE_TOKENS",
            "65",
            "training.sequence_tokens 65 is longer than model.context_tokens 64",
        ),
        (
            "TRAINING__REPORT_EVERY_SECONDS",
            "20",
            "training.report_every_seconds 20 is not below rounds.lease_seconds 20",
        ),
        ("SCHEDULE__WARMUP_TOKENS", "40001", "warmup_tokens 40001 is more than total_tokens 40000"),
        (
            "SCHEDULE",
            "{shape: wsd, peak_learning_rate: 0.1, warmup_tokens: 9, total_tokens: 10}",
            "warmup_tokens 9 reaches into the decay, which begins at 8",
        ),
        (
            "CORPUS__QUALITY__MIN_CHARACTERS",
            "6000000",
            "corpus.quality: min_characters 6000000 is above max_characters 5000000",
        ),
        (
            "CORPUS__QUALITY__MIN_MEAN_WORD_CHARACTERS",
            "17",
            "min_mean_word_characters 17 is above max_mean_word_characters 16",
        ),
        (
            "CORPUS__SOURCES",
            "[{name: a, kind: sample-eu}, {name: a, kind: directory}]",
            "corpus: sources: the name 'a' is given twice",
        ),
        (
            "AGGREGATION__DOMAIN_CORRECTION_MIN",
            "5",
            "domain_correction_min 5 is above domain_correction_max 4",
        ),
        ("TRAINING__BETA2", "1.0", "training.beta2: Input should be less than 1"),
        ("TOKENIZER__VOCAB_SIZE", "200", "tokenizer.vocab_size: .*greater than or equal to 257"),
        ("SHARDS__HOLDOUT_SHARE", "1.0", "shards.holdout_share: Input should be less than 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(variable, value, message):
    with pytest.raises(SettingsError, match=message) as caught:
        load_recipe("smoke", {f"SYNNQ_RECIPE__{variable}": value})
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize("text", ["[1, 2", "a: b: c", "2024-13-01", "{x: \x01}", "[" * 5_000])
def test_a_variable_that_is_no_yaml_is_named(text):
    with pytest.raises(SettingsError, match=r"^SYNNQ_RECIPE__ROUNDS__QUORUM=.* is not a YAML val"):
        load_recipe("smoke", {"SYNNQ_RECIPE__ROUNDS__QUORUM": text})


def test_a_file_with_an_impossible_date_is_refused(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text("name: 2024-13-01\n")
    with pytest.raises(SettingsError, match=r"r\.yaml is not valid YAML: month must be in 1"):
        load_recipe(str(path), {})


def test_a_changed_recipe_is_as_valid_as_one_from_a_file():
    recipe = load_recipe("smoke", {})
    assert change_recipe(recipe, {"rounds": {"num_rounds": 5}}).rounds.num_rounds == 5
    with pytest.raises(SettingsError, match="recipe smoke, as changed: rounds.num_rounds: "):
        change_recipe(recipe, {"rounds": {"num_rounds": 0}})


def test_the_address_of_data_docs_is_a_web_address():
    assert data_docs_url({}) is None
    url = "https://docs.example.org/synnq"
    assert data_docs_url({"SYNNQ_DATA_DOCS_URL": f"{url}/"}) == url
    with pytest.raises(SettingsError, match="SYNNQ_DATA_DOCS_URL must begin with http"):
        data_docs_url({"SYNNQ_DATA_DOCS_URL": "file:///srv/docs"})
