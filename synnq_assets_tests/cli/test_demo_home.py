"""A demo is begun whole, resumed only as it was begun, and removed only where it is one."""

from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from synnq_assets.cli.demo import setup
from synnq_assets.cli.demo.command import begin, verify_time_left
from synnq_assets.cli.demo.setup import NODES, build_settings, create_demo_home, is_demo_home
from synnq_assets.cli.demo.wishes import Wishes, apply_wishes, verify_wishes
from synnq_assets.errors import SettingsError, SynnqError
from synnq_assets.federation import Registry
from synnq_assets.settings import load_recipe, resolve_settings
from synnq_assets.trust import Home
from synnq_assets_tests.defs.by_hand import accept, open_round_by_hand, start

SMOKE = Wishes(recipe="smoke")


def begin_quietly(path, wishes=SMOKE, *, is_fresh=False):
    return begin(path, wishes, Console(quiet=True), is_fresh)


@pytest.fixture
def home(tmp_path):
    return create_demo_home(tmp_path / "home", build_settings("smoke"))


def test_a_new_demo_has_four_enrolled_nodes_and_nothing_beside_it(tmp_path):
    home = begin_quietly(tmp_path / "home")
    assert len(Registry(home.ledger).list_nodes()) == 4
    assert is_demo_home(home.path)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    home.audit.verify(home.log_verifier)


def test_what_was_interrupted_while_nodes_were_enrolled_is_begun_anew(tmp_path, monkeypatch):
    enrolled = []

    def enrol_two(home, node):
        if len(enrolled) == 2:
            raise KeyboardInterrupt
        enrolled.append(node)
        return enrol(home, node)

    enrol = setup.enrol_demo_node
    with monkeypatch.context() as patch:
        patch.setattr(setup, "enrol_demo_node", enrol_two)
        with pytest.raises(KeyboardInterrupt):
            begin_quietly(tmp_path / "home")
    assert not (tmp_path / "home").exists()
    home = begin_quietly(tmp_path / "home")
    assert len(Registry(home.ledger).list_nodes()) == len(NODES)


def test_fresh_removes_an_earlier_demo(home):
    key = home.coordinator.public_key
    assert begin_quietly(home.path, is_fresh=True).coordinator.public_key != key


def test_fresh_leaves_a_folder_that_is_no_demo_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(SettingsError, match="is not the home of a demo, so --fresh does not"):
        begin_quietly(tmp_path, is_fresh=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_fresh_leaves_the_home_of_a_real_campaign_alone(tmp_path):
    home = Home.create(tmp_path / "home", resolve_settings("local", "smoke"))
    with pytest.raises(SettingsError, match="is not the home of a demo"):
        begin_quietly(home.path, is_fresh=True)
    assert (home.path / "keys" / "coordinator.pem").is_file()


def test_a_mistake_in_the_options_does_not_cost_the_earlier_demo(home):
    with pytest.raises(SettingsError, match="no recipe named 'smok'"):
        begin_quietly(home.path, Wishes(recipe="smok"), is_fresh=True)
    assert is_demo_home(home.path)


@pytest.mark.parametrize(
    "wishes",
    [Wishes(), SMOKE, Wishes(num_rounds=2), Wishes(recipe="smoke", num_rounds=2)],
    ids=["nothing", "its recipe", "its rounds", "both"],
)
def test_a_demo_is_resumed_with_the_same_options_or_none(home, wishes):
    home = create_demo_home(home.path.with_name("two"), build_settings("smoke", num_rounds=2))
    if wishes.recipe and not wishes.num_rounds:
        home = create_demo_home(home.path.with_name("plain"), build_settings("smoke"))
    assert begin_quietly(home.path, wishes).coordinator.public_key == home.coordinator.public_key


@pytest.mark.parametrize(
    ("wishes", "names"),
    [
        (Wishes(num_rounds=5), r"\(rounds, release\)"),
        (Wishes(corpus=Path("texts")), r"\(corpus"),
        (Wishes(recipe="demo"), "model"),
    ],
    ids=["--rounds", "--corpus", "--recipe"],
)
def test_options_that_the_demo_was_not_begun_with_are_refused(home, wishes, names):
    with pytest.raises(SettingsError, match=f"other settings .*{names}.*--fresh to start anew"):
        begin_quietly(home.path, wishes)


def test_a_corpus_is_the_same_when_it_is_given_again():
    wishes = Wishes(corpus=Path("texts"), files="*.jsonl", max_documents=10)
    once = apply_wishes(load_recipe("demo"), wishes)
    assert apply_wishes(once, wishes) == once
    assert once.corpus.sources[0].params["max_documents"] == 10


def test_options_that_need_a_corpus_say_so(home):
    with pytest.raises(SettingsError, match="of a --corpus; give one"):
        verify_wishes(home, Wishes(files="*.jsonl"))


def test_a_round_whose_orders_ran_out_meanwhile_is_not_resumed(home, monkeypatch):
    start(home)
    base = open_round_by_hand(home, nodes=("node-east",))
    verify_time_left(home)
    late = base.deadline_at + timedelta(seconds=1)
    monkeypatch.setattr("synnq_assets.cli.demo.command.now_at", lambda: late)
    with pytest.raises(SynnqError, match="stopped in r0001, whose orders were valid until"):
        verify_time_left(home)
    accept(home, "r0001.node-east.1")  # nothing is open any more
    verify_time_left(home)
