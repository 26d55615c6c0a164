"""Misspelt names are found by `init`, `settings` and `demo`, before anything is created."""

import subprocess
import sys

import pytest

from synnq_assets.cli.app import USAGE_EXIT_CODE, run
from synnq_assets.cli.choices import verify_choices
from synnq_assets.settings import resolve_settings, shipped_profiles, shipped_recipes
from synnq_assets.training.strategies import STRATEGIES, find_strategy
from synnq_assets_tests.journeys.running import command_environment

MISTAKES = [
    (
        "MODEL__ARCHITECTURE",
        "nanoo",
        "model.architecture: no architecture named 'nanoo'; did you mean 'nano'?",
    ),
    (
        "AGGREGATION__RULE",
        "{name: medain}",
        "aggregation.rule: no rule named 'medain'; did you mean 'median'?",
    ),
    (
        "AGGREGATION__RULE",
        "{name: trimmed-mean, params: {trim_shar: 0.1}}",
        "aggregation.rule trimmed-mean: trim_shar: unknown setting",
    ),
    (
        "AGGREGATION__OUTER",
        "{name: nesterof}",
        "aggregation.outer: no optimiser named 'nesterof'; did you mean 'nesterov'?",
    ),
    (
        "TRAINING__PARALLELISM",
        "{name: fsdp}",
        "training.parallelism: no parallelism named 'fsdp'; did you mean 'fsdp2'?",
    ),
    (
        "CORPUS__SOURCES",
        "[{name: own, kind: directry}]",
        "source 'own' has unknown kind 'directry'; did you mean 'directory'?",
    ),
    (
        "CORPUS__SOURCES",
        "[{name: own, kind: directory, params: {pth: x}}]",
        "params.pth: unknown parameter; did you mean 'path'?",
    ),
    ("CORPUS__LICENCES", "[CC-BY-4]", "corpus.licences: 'CC-BY-4' is not an SPDX id"),
    (
        "ROUNDS__MINIMUM",
        "9",
        "rounds: quorum 2 is below minimum 9: a round that reached its quorum could not close",
    ),
    ("ROUNDS__MINIMUM", "[9", "SYNNQ_RECIPE__ROUNDS__MINIMUM='[9' is not a YAML value"),
]
COMMANDS = {
    "init": lambda folder: ["init", str(folder / "home"), "--recipe", "smoke"],
    "settings": lambda folder: ["settings", "--recipe", "smoke"],
    "demo": lambda folder: ["demo", "--home", str(folder / "home"), "--recipe", "smoke"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("variable", "value", "message"), MISTAKES)
def test_a_mistake_in_a_recipe_is_one_sentence(
    tmp_path, monkeypatch, capsys, command, variable, value, message
):
    monkeypatch.setenv(f"SYNNQ_RECIPE__{variable}", value)
    assert run(COMMANDS[command](tmp_path)) == USAGE_EXIT_CODE
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""
    assert not list(tmp_path.iterdir())


def test_rounds_that_the_demo_cannot_run_are_refused(tmp_path, capsys):
    assert run([*COMMANDS["demo"](tmp_path), "--rounds", "0"]) == USAGE_EXIT_CODE
    assert "rounds.num_rounds: Input should be greater than 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", shipped_recipes())
@pytest.mark.parametrize("profile", shipped_profiles())
def test_every_shipped_pair_names_what_exists(profile, recipe):
    settings = resolve_settings(profile, recipe)
    assert verify_choices(settings) is settings


def test_names_are_looked_up_without_torch():
    code = (
        "from synnq_assets.cli.app import run; import sys; run(['settings', '--recipe', 'smoke'])"
    )
    code += "; print(*sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=command_environment(),
    )
    assert "# digest: " in done.stdout
    assert not {"torch", "transformers", "dagster", "pandas", "datasets"} & set(done.stderr.split())


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_parallelism_is_what_its_name_says(name):
    settings = resolve_settings("local", "smoke").recipe.training.parallelism
    strategy = find_strategy(settings.model_copy(update={"name": name}))
    assert strategy.__module__ == f"synnq_assets.training.parallel.{name}"
