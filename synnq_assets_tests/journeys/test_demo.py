"""`synnq demo` itself: two faults, two interruptions, and all that it promises."""

import json
import re
import signal
import subprocess
from dataclasses import dataclass

import pytest

from synnq_assets.cli.home import open_home
from synnq_assets.cli.services import Services
from synnq_assets.submissions.arrival import accepted_key, quarantine_key
from synnq_assets.trust import Home
from synnq_assets_tests.journeys.demo_runs import (
    SYNNQ,
    Ended,
    demo_run,
    interrupt_while_training,
)
from synnq_assets_tests.journeys.running import (
    ask,
    campaign_environment,
    command_environment,
    list_materializations,
    open_instance,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
FIRST, KILLED, HOSTILE = "r0001.node-east.1", "r0002.node-south.1", "r0003.node-west.1"


@dataclass(frozen=True)
class Played:
    """A demo that was interrupted in its first and in its last round, and then ran to its end."""

    home: Home
    ctrl_c: Ended
    hang_up: Ended
    end: Ended


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "home"
    options = ("--recipe", "smoke", "--rounds", "3")
    with demo_run(path, *options) as run:
        ctrl_c = interrupt_while_training(run, FIRST, signal.SIGINT)
    with demo_run(path) as run:
        hang_up = interrupt_while_training(run, HOSTILE, signal.SIGHUP)
    with demo_run(path, *options) as run:
        end = run.await_end()
    with campaign_environment():
        return Played(open_home(path), ctrl_c, hang_up, end)


def test_an_interrupted_demo_leaves_nothing_running(played):
    assert (played.ctrl_c.code, played.hang_up.code) == (130, 129)
    assert "nothing was left running, and the same command goes on" in played.ctrl_c.said
    assert played.ctrl_c.left == []
    assert played.hang_up.left == []


def test_the_last_call_resumes_and_keeps_every_promise(played):
    assert "resuming the demo" in played.end.said
    assert "BROKEN" not in played.end.said
    assert len(re.findall(r"^kept ", played.end.said, re.MULTILINE)) == 7
    assert played.end.code == 0, played.end.said
    assert played.end.left == []


@pytest.mark.parametrize("assignment_id", [FIRST, HOSTILE])
def test_a_job_in_the_middle_of_its_steps_went_on_from_its_checkpoint(played, assignment_id):
    job_dir = played.home.path / "jobs" / assignment_id
    assert (job_dir / "run.1" / "exit_code").read_text() == "75\n"
    assert "RequeueError" in (job_dir / "run.1" / "stderr.log").read_text()
    assert (job_dir / "run.2" / "exit_code").read_text() == "0\n"
    assert played.home.campaign.find_loss(assignment_id) is None


def test_the_killed_node_s_shards_went_to_others(played):
    campaign = played.home.campaign
    loss = campaign.find_loss(KILLED)
    assert loss.reason == "job lost: its process is gone and left no exit code"
    faults = [e for _, e in played.home.audit.iter_entries() if e.action == "demo_fault"]
    assert [(e.subject[:6], e.details) for e in faults] == [("r0002.", {"fault": "killed"})]
    taken_over = set()
    for name in loss.replacements:
        assert ".node-south." not in name
        assert campaign.find_verdict(name).decision == "accepted"
        taken_over |= {shard.shard_id for shard in campaign.get_order(name).shards}
    assert taken_over == {shard.shard_id for shard in campaign.get_order(KILLED).shards}


def test_the_turned_update_was_refused_for_being_one_and_stays_in_quarantine(played):
    home = played.home
    verdict = home.campaign.find_verdict(HOSTILE)
    assert verdict.decision == "refused"
    failed = {check.name for check in verdict.checks if not check.passed}
    assert failed
    assert failed <= {"step_bound", "probe"}
    assert home.store.has(f"{quarantine_key('r0003', HOSTILE)}/update.safetensors")
    assert not list(home.store.iter_keys(accepted_key("r0003", HOSTILE)))
    assert HOSTILE not in home.campaign.list_consumed()
    with open_instance(home) as instance:
        assert list_materializations(instance, "verified_submission", "r0003|node-west") == []
        # The same node was honest before, and was believed.
        assert list_materializations(instance, "verified_submission", "r0002|node-west") != []


LOOK = """query($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset {
    assetMaterializations(limit: 50) { partition }
    assetObservations(limit: 50) { partition metadataEntries { label
      ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } } } }
  assetCheckExecutions(assetKey: $key, checkName: "accepted", limit: 50) {
    evaluation { success metadataEntries { label
      ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } } }
}"""


def test_the_web_page_shows_the_verdict_with_its_reasons(played):
    with Services(played.home, port=0, is_read_only=True) as services:
        answer = ask(services.url, LOOK, key={"path": ["verified_submission"]})
    reason = "; ".join(played.home.campaign.find_verdict(HOSTILE).reasons)
    asset = answer["assetOrError"]
    assert "r0003|node-west" not in {item["partition"] for item in asset["assetMaterializations"]}
    observed = [o for o in asset["assetObservations"] if o["partition"] == "r0003|node-west"]
    evaluations = [run["evaluation"] for run in answer["assetCheckExecutions"]]
    refused = [item for item in evaluations if item and not item["success"]]
    assert len(refused) == 1
    for shown in (observed[-1], refused[0]):
        entries = {entry["label"]: entry for entry in shown["metadataEntries"]}
        assert entries["assignment"]["text"] == HOSTILE
        assert entries["decision"]["text"] == "refused"
        assert entries["why refused"]["text"] == reason
        assert "| probe |" in entries["checks"]["mdStr"]


def test_the_end_shows_each_language_and_commands_that_work(played):
    said = played.end.said
    title = said.index("held-out perplexity by language")
    (header,) = re.findall(r"^ *round( .*)$", said[title:], re.MULTILINE)
    assert header.split() == ["de", "fi", "fr", "it"]
    assert re.search(r"^ *r0003( +\d+\.\d){4} *$", said[title:], re.MULTILINE)
    (command,) = re.findall(r"^  verify: (.*)$", said, re.MULTILINE)
    assert command.startswith(str(SYNNQ))
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, env=command_environment()
    )
    assert done.returncode == 0, done.stderr
    assert "root key was taken from the folder itself" not in done.stdout


def test_a_corpus_that_cannot_be_used_ends_the_demo_with_its_own_sentence(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    rows = [{"text": "Alle Rechte vorbehalten. " * 20, "licence": "CC-BY-NC-4.0"}] * 2
    (corpus / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    options = ("--recipe", "smoke", "--rounds", "1", "--corpus", str(corpus))
    with demo_run(tmp_path / "home", *options) as run:
        ended = run.await_end()
    assert ended.code == 2
    assert ended.left == []
    assert ended.said.splitlines()[-1].startswith(
        "error: the step curate:directory failed 3 times: "
        "source 'directory': none of 2 documents passed the licence gate"
    )
