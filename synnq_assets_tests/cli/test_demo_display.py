"""What the terminal shows while the demo runs and when it ends, from records written by hand."""

import io
import os
import stat
import subprocess

import pytest
from rich.console import Console

from synnq_assets.cli.campaign import render_languages
from synnq_assets.cli.demo.closing import list_commands
from synnq_assets.cli.demo.display import Display, describe_stage
from synnq_assets.cli.demo.setup import build_settings, create_demo_home
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import Reassignment
from synnq_assets.records.jobs import JobHandle, Progress
from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets_tests.builders import build_checkpoint_record, digest_of
from synnq_assets_tests.defs.by_hand import accept, evaluate, open_round_by_hand, put_base, start

NODES = ("node-east", "node-north", "node-south", "node-west")


@pytest.fixture
def home(tmp_path):
    return create_demo_home(tmp_path / "home", build_settings("smoke", num_rounds=1))


def test_the_stage_follows_the_records(home):
    seen = [describe_stage(home)]
    start(home)
    put_base(home, nodes=NODES)
    seen.append(describe_stage(home))
    home = create_demo_home(home.path.with_name("two"), build_settings("smoke", num_rounds=1))
    start(home)
    open_round_by_hand(home, nodes=NODES[:2])
    seen.append(describe_stage(home))
    accept(home, "r0001.node-east.1")
    accept(home, "r0001.node-north.1")
    seen.append(describe_stage(home))
    parent = home.campaign.find_checkpoint("r0000")
    home.campaign.put_checkpoint(build_checkpoint_record("r0001", parent), home.coordinator)
    seen.append(describe_stage(home))
    evaluate(home, "r0001")
    seen.append(describe_stage(home))
    assert seen == [
        "curating corpora",
        "r0001: allocating shards to nodes",
        "r0001: 2 jobs out",
        "r0001: aggregating",
        "r0001: evaluating the new global checkpoint",
        "r0001: releasing",
    ]


def report_progress(home, assignment_id):
    job_dir = home.path / "jobs" / assignment_id
    job_dir.mkdir(parents=True)
    progress = Progress(
        assignment_id=assignment_id,
        phase="training",
        step=5,
        num_steps=10,
        loss=3.25,
        tokens_per_second=100.0,
        failure=None,
        reported_at=now_at(),
    )
    (job_dir / "progress.json").write_bytes(progress.canonical_bytes())
    handle = JobHandle(
        assignment_id=assignment_id,
        node_id=assignment_id.split(".")[1],
        backend="local",
        job_id="1",
        job_dir=str(job_dir),
        submitted_at=now_at(),
    )
    home.campaign.put_handle(handle, home.coordinator)


@pytest.fixture
def busy(home):
    """A round in which each node is at another point."""
    start(home)
    open_round_by_hand(home, nodes=NODES)
    accept(home, "r0001.node-east.1", decision="refused")
    report_progress(home, "r0001.node-north.1")
    loss = Reassignment(
        lost="r0001.node-south.1",
        replacements={"r0001.node-north.2": (digest_of("shard"),)},
        reason="gone",
        decided_at=now_at(),
    )
    home.campaign.put_loss(loss, home.coordinator)
    return home


def test_elsewhere_than_on_a_terminal_each_change_is_one_line(busy):
    console = Console(file=io.StringIO(), width=80)
    with Display(busy, "http://x", console) as display:
        display.update()
        display.update()
        accept(busy, "r0001.node-west.1")
        display.update()
    first, second = console.file.getvalue().splitlines()
    assert "r0001.node-east.1 refused; r0001.node-north.1 training; " in first
    assert "r0001.node-south.1 lost, to node-north; r0001.node-west.1 ordered" in first
    assert "r0001.node-west.1 accepted" in second


def test_a_terminal_shows_a_live_table_of_jobs(busy):
    console = Console(file=io.StringIO(), width=160, force_terminal=True)
    with Display(busy, "http://x", console) as display:
        display.update()
    shown = console.file.getvalue()
    assert "██████████··········" in shown  # half of its steps
    assert "3.250" in shown
    assert "http://x/asset-groups" in shown


def test_perplexities_are_shown_by_language(home):
    home.campaign.put_checkpoint(build_checkpoint_record("r0000"), home.coordinator)
    figures = {
        "perplexity/all": 7.0,
        "perplexity/de": 12.34,
        "perplexity/fi": 5.0,
        "perplexity/de.health": 9.0,
        "perplexity/domain/health": 9.0,
    }
    record = EvaluationRecord(
        round="r0000",
        checkpoint_sha256=digest_of("r0000"),
        parent_round=None,
        figures=figures,
        headline_perplexity=7.0,
        headline_f1=0.5,
        parent_perplexity=None,
        tolerance=0.1,
        decision="promoted",
        reason="by hand",
        evaluated_at=now_at(),
    )
    home.campaign.put_evaluation(record, home.coordinator)
    table = render_languages(home)
    assert [column.header for column in table.columns] == ["round", "de", "fi"]
    assert [list(column.cells) for column in table.columns] == [["r0000"], ["12.3"], ["5.0"]]


@pytest.fixture
def recorder(tmp_path):
    """A `synnq` in a folder with a space, that prints what it was called with."""
    program = tmp_path / "my tools" / "synnq"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "<%s>" "$@"\necho\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


def test_the_closing_commands_can_be_pasted(home, recorder):
    folder = home.path / "releases" / "synnq-smoke-r0001"
    folder.mkdir(parents=True)
    key, keys = home.coordinator.public_key, home.path / "api-keys"
    lines = list_commands(home, recorder)
    said = [
        subprocess.run(["sh", "-c", line.partition(":")[2]], capture_output=True, text=True).stdout
        for line in lines[1:]
    ]
    assert said == [
        f"<verify-release><{folder}><--root><{key}>\n",
        f"<api-key><{keys}>\n<serve><{folder}><--root><{key}><--api-key-file><{keys}>\n",
        f"<up><--home><{home.path}>\n",
    ]


def test_a_program_on_the_path_goes_by_its_name(home, recorder, monkeypatch):
    monkeypatch.setenv("PATH", str(recorder.parent), prepend=os.pathsep)
    assert list_commands(home, recorder) == [f"look again: synnq up --home {home.path}"]
