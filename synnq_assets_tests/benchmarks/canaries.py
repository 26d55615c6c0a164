"""Planted canaries, and where they are found again, as JSON.

    python -m synnq_assets_tests.benchmarks.canaries --canaries 10000

Addresses, names, machines' names, paths and sample sentences are planted in the documents of a
corpus, their titles and file names, in the environment of the coordinator and of every job, in the
organisation's name, and by a payload (canary_payload.py) in what it prints, logs, warns of and
raises, in file names, and in every field of a submission and its files. The real payload, intake,
assets and sensor run over them, on an instance of Dagster with SQLite and captured compute logs.

Then every byte is searched: also inside Parquet, base64 and zlib. `found` is where none may be. The
`by_design` places hold text by purpose, and show that the search finds: curated and held-out
documents, the organisation in the registry, refused submissions as evidence in quarantine, and the
job folders and log folders of the nodes.
"""

import argparse
import base64
import json
import os
import random
import re
import sys
import tempfile
import time
import warnings
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import yaml

MARK = re.compile(rb"qzx[0-9a-z]{8}", re.IGNORECASE)  # is in every canary, and nowhere else
BASE64 = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
NODE, HELPER = "node-east", "node-north"
NUM_ORDERS = 15
NUM_DOCUMENTS = 300
SHAPES = (
    "{m}@mail.example.org",
    "Erika {m}",
    "{m}.gpu.cluster.example.org",
    "/home/{m}/private/run.log",
    "Patientin {m} wohnt seit dem Sommer am alten Hafen und malt dort blaue Laternen.",
    "{m}-4f1c-4a3b-9d2e-0123456789ab",
    "10.1.2.3 ({m})",
    "+49 30 1234567 {m}",
)


def build_canaries(count):
    """Return texts, each with a mark of its own."""
    draw = random.Random(7)
    marks = set()
    while len(marks) < count:
        marks.add("qzx" + "".join(draw.choices("abcdefghijkmnpqrstuvwxy23456789", k=8)))
    return [SHAPES[k % len(SHAPES)].format(m=mark) for k, mark in enumerate(sorted(marks))]


def write_corpus(folder, canaries):
    """Write documents that are kept, with a canary each at least, in files named by canaries."""
    folder.mkdir()
    filler = (
        "Die Verwaltung der Stadt hat im vergangenen Jahr den Bericht über die Versorgung der "
        "Einwohner mit Wasser und Energie vorgelegt, und der Rat hat ihn ohne Änderung angenommen. "
    )
    size = -(-len(canaries) // NUM_DOCUMENTS)
    texts = [" ".join(canaries[k : k + size]) for k in range(0, len(canaries), size)]
    rows = [
        {
            "text": f"{filler} {text} {filler} Nummer {k}.",
            "title": text,
            "language": "de",
            "licence": "CC0-1.0",
            "domain": "health",
            "origin": f"https://example.org/{k}",
        }
        for k, text in enumerate(texts)
    ]
    name = re.sub(r"\W", "-", canaries[0])
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")


class Campaign:
    """A home, an instance of Dagster, and what is run on them."""

    def __init__(self, folder, canaries):
        import dagster as dg

        from synnq_assets.cli.demo.setup import NODES, create_demo_home, enrol_demo_node
        from synnq_assets.cli.demo.wishes import Wishes, resolve_wishes
        from synnq_assets.defs.resources import HomeResource
        from synnq_assets.settings import change_recipe

        self.dg = dg
        wishes = Wishes(recipe="smoke", corpus=folder / "corpus", max_documents=400)
        settings = resolve_wishes(wishes)
        hours = {
            "rounds": {"deadline_seconds": 7200, "lease_seconds": 3600}
        }  # one job after another
        recipe = change_recipe(settings.recipe, hours)
        settings = settings.model_copy(update={"recipe": recipe})
        self.home = create_demo_home(folder / "home", settings)
        stranger = replace(NODES[0], node_id="node-extra", organisation=canaries[1])
        enrol_demo_node(self.home, stranger)
        for node in ("nodes/" + NODE, "nodes/" + HELPER):
            path = self.home.path / node / "node.yaml"
            config = yaml.safe_load(path.read_text())
            config |= {"organisation": canaries[2]}
            config["payload"] = ["python", "-m", "synnq_assets_tests.benchmarks.canary_payload"]
            path.write_text(yaml.safe_dump(config))
        self.instance = dg.DagsterInstance.get()
        self.resources = {"home": HomeResource(path=str(self.home.path))}
        self.num_runs = self.num_failed = 0

    def run(self, *assets, partition=None, **tags):
        """Materialise assets; a failure is an outcome like another."""
        result = self.dg.materialize(
            list(assets),
            instance=self.instance,
            resources=self.resources,
            partition_key=partition,
            tags=tags or None,
            raise_on_error=False,
        )
        self.num_runs += 1
        self.num_failed += not result.success
        return result

    def prepare(self):
        """Corpus to initial checkpoint, as the assets make them; then one round's orders."""
        from synnq_assets.defs import aggregation, corpora, federation, shards
        from synnq_assets.federation import build_round_base
        from synnq_assets.records.identifiers import build_assignment_id

        home, instance = self.home, self.instance
        instance.add_dynamic_partitions("source", ["directory", "none"])
        instance.add_dynamic_partitions("round", ["r0000", "r0001"])
        instance.add_dynamic_partitions("site", [NODE, HELPER])
        self.run(corpora.curated_corpus, corpora.expectations, partition="directory")
        self.run(corpora.curated_corpus, partition="none")
        self.run(shards.tokenizer, shards.shard_plan)
        plan = shards.ShardPlan.from_bytes(home.store.get_bytes(shards.PLAN))
        instance.add_dynamic_partitions("cell", list(plan.cells))
        for cell in plan.cells:
            self.run(shards.signed_shards, partition=cell)
        self.run(federation.node_profiles)
        self.run(aggregation.global_checkpoint, partition="r0000")
        base = build_round_base(
            home.settings,
            round_key="r0001",
            parent=home.campaign.find_checkpoint("r0000"),
            roster=(NODE, HELPER),
            tokens_planned=10_000,
        )
        home.campaign.put_base(base, home.coordinator)
        shard_ids = tuple(manifest.shard_id for manifest in home.campaign.list_manifests()[:1])
        names = [build_assignment_id("r0001", NODE, k + 1) for k in range(NUM_ORDERS)]
        federation.issue_orders(home, base, dict.fromkeys(names, shard_ids))
        return names

    def train(self, names):
        """Submit all jobs, two at a time, and let the sensor say what became of each."""
        from synnq_assets.compute import build_backend
        from synnq_assets.defs.compute import local_checkpoint, training_job
        from synnq_assets.defs.operations import shard_reassignment
        from synnq_assets.defs.sensors.jobs import monitor_jobs
        from synnq_assets.defs.submissions import verified_submission
        from synnq_assets_tests.defs.by_hand import sensor_context

        backend = build_backend(self.home.settings.profile)
        for k in range(0, len(names), 2):
            for name in names[k : k + 2]:
                self.run(training_job, partition=self.key, **{"synnq/assignment": name})
            handles = [self.home.campaign.find_handle(name) for name in names[k : k + 2]]
            while not all(status.is_terminal for status in backend.poll(handles).values()):
                time.sleep(0.2)
        context = sensor_context(self.home, self.instance)
        tick = monitor_jobs(context)
        for event in tick.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in tick.run_requests:
            tags = {k: v for k, v in request.tags.items() if k.startswith("synnq/")}
            if request.job_name == "collect":
                self.run(local_checkpoint, verified_submission, partition=self.key, **tags)
            else:
                self.run(shard_reassignment, partition=self.key, **tags)
                self.run(local_checkpoint, partition=self.key, **tags)  # there is none: it fails

    @property
    def key(self):
        return self.dg.MultiPartitionKey({"round": "r0001", "site": NODE})

    def finish(self, folder):
        """Aggregate, compare both logs, export the audit log."""
        from synnq_assets.defs.aggregation import global_checkpoint
        from synnq_assets.defs.trust import agrees_with_dagster, audit_log
        from synnq_assets.trust.audit.export import export_log

        self.run(global_checkpoint, partition="r0001")
        agreed = self.run(audit_log, agrees_with_dagster)
        export_log(self.home.audit, folder, self.home.log_verifier)
        return all(check.passed for check in agreed.get_asset_check_evaluations())


# --- the search


def iter_views(path, data):
    """Yield a file's bytes as they are, and what is inside their encodings."""
    yield data
    if data.startswith(b"PAR1"):
        with suppress(Exception):
            table = pq.read_table(path)
            yield f"{table.schema} {table.to_pydict()}".encode()
    for match in BASE64.finditer(data):
        with suppress(ValueError, zlib.error):
            decoded = base64.b64decode(match[0] + b"=" * (-len(match[0]) % 4))
            yield decoded
            yield zlib.decompress(decoded) if decoded.startswith(b"\x78") else b""
    for match in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", data[: 1 << 24]):
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(data[match.start() :], 1 << 20)


def search(root, marks, *, skip=()):
    """Return the canaries in a folder's files and file names, and how many bytes were read."""
    found, num_bytes, places = set(), 0, set()
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
        name = str(path.relative_to(root))
        if any(re.match(pattern, name) for pattern in skip) or path.is_symlink():
            continue
        views = [name.encode()]
        if path.is_file():
            data = path.read_bytes()
            num_bytes += len(data)
            views += iter_views(path, data)
        hits = {hit.lower() for view in views for hit in MARK.findall(view)} & marks
        found |= hits
        if hits:
            places.add(name)
    return {"canaries": len(found), "bytes": num_bytes, "places": sorted(places)[:5]}


def plant(folder, canaries):
    """Fill this process's environment, which every job gets as well."""
    mark = MARK.search(canaries[3].encode())[0].decode()
    for name in ("HOSTNAME", "USER", "LOGNAME", "SLURMD_NODENAME", "SECRET_NOTE"):
        os.environ[name] = mark
    private = folder / f"home-{mark}"
    private.mkdir()
    (folder / "canaries.txt").write_text("\n".join(canaries), encoding="utf-8")
    (folder / "dagster").mkdir()
    os.environ |= {
        "HOME": str(private),
        "SYNNQ_CANARIES": str(folder / "canaries.txt"),
        "DAGSTER_HOME": str(folder / "dagster"),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


def measure(folder, count):
    """Plant, run, search."""
    canaries = build_canaries(count)
    plant(folder, canaries)
    write_corpus(folder / "corpus", canaries)
    campaign = Campaign(folder, canaries)
    names = campaign.prepare()
    campaign.train(names)
    return report(folder, campaign, canaries, campaign.finish(folder / "tiles"))


def report(folder, campaign, canaries, has_agreed):
    """Search, and return all figures."""
    names = [f"r0001.{NODE}.{k + 1}" for k in range(NUM_ORDERS)]
    home, marks = campaign.home, {MARK.search(text.encode())[0] for text in canaries}
    verdicts = campaign.home.campaign.list_verdicts("r0001")
    refused = [verdict.assignment_id for verdict in verdicts if verdict.decision == "refused"]
    evidence = [rf"quarantine/r0001/{re.escape(name)}/" for name in refused]
    text_places = (r"corpora(/|$)", r"shards/holdout(/|$)", r"registry/")
    store = home.path / "store"
    return {
        "canaries": len(canaries),
        "runs": campaign.num_runs,
        "failed_runs": campaign.num_failed,
        "verdicts": {v.assignment_id: [*v.reasons] or ["accepted"] for v in verdicts},
        "failed_jobs": {
            loss.lost: loss.reason.partition("; not reassigned")[0]
            for loss in campaign.home.campaign.list_losses("r0001")
        },
        "both_logs_agree": has_agreed,
        "captured_logs": len(list((folder / "dagster").rglob("compute_logs/*"))),
        "found": {
            "store": search(store, marks, skip=(*text_places, *evidence)),
            "accepted_submission": search(store / "quarantine/r0001" / names[0], marks),
            "audit_database": search_all(home.path.glob("audit.sqlite*"), marks),
            "tiles": search(folder / "tiles", marks),
            "dagster": search(folder / "dagster", marks),
            "progress": search_all(
                (home.path / "jobs" / name / "progress.json" for name in names[:1] + names[11:]),
                marks,
            ),
        },
        "by_design": {
            "corpora": search(store / "corpora", marks),
            "holdout": search(store / "shards/holdout", marks),
            "registry": search(store / "registry", marks),
            "evidence": search(store / "quarantine", marks),
            "job_folders": search(home.path / "jobs", marks),
            "node_logs": search(home.path / "nodes" / NODE / "logs", marks),
        },
    }


def search_all(paths, marks):
    """Return what is in several files together."""
    results = [search(path, marks) for path in paths]
    return {
        "canaries": sum(result["canaries"] for result in results),
        "bytes": sum(result["bytes"] for result in results),
        "places": [place for result in results for place in result["places"]][:5],
    }


def main():
    """Print one JSON object; the exit code says whether a canary was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--canaries", type=int, default=400)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="canaries-") as name:
        figures = measure(Path(name), options.canaries)
    figures["seconds"] = round(time.monotonic() - began, 1)
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    return int(any(place["canaries"] for place in figures["found"].values()))


if __name__ == "__main__":
    sys.exit(main())
