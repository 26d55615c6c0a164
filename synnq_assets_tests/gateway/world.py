"""A home with two enrolled nodes, open orders, certificates, and the real server over loopback."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from synnq_assets.cli.app import run
from synnq_assets.cli.gateway import build_gateway
from synnq_assets.cli.home import grant_own_keys
from synnq_assets.federation import Registry, create_node
from synnq_assets.federation.enrolment import NodeIdentity
from synnq_assets.gateway import GatewayLimits, NodeCredentials, build_server
from synnq_assets.records.base import now_at
from synnq_assets.records.federation import RoundBase
from synnq_assets.records.orders import CheckpointRef, Order, OrderShard, digest_files
from synnq_assets.records.submissions import Submission, TrainingMetrics
from synnq_assets.settings import Settings, load_profile, load_recipe
from synnq_assets.storage.files import describe_file
from synnq_assets.trust import Home, SigningKey, sign_record
from synnq_assets.trust.campaign import sealed_key
from synnq_assets_tests.builders import (
    LATER,
    NOW,
    build_agreement,
    build_profile,
    build_segment,
    digest_of,
)

NODES = ("node-a", "node-b")
ROUND = "r0001"
LIMITS = GatewayLimits(
    head_seconds=1.0, grace_seconds=0.6, min_bytes_per_second=1_000_000, report_seconds=0.3
)
METRICS = TrainingMetrics(
    num_tokens=10,
    num_tokens_processed=10,
    num_steps=1,
    initial_loss=1.0,
    final_loss=1.0,
    mean_gradient_norm=1.0,
    max_gradient_norm=1.0,
    learning_rate_sum=1.0,
    tokens_per_second=1.0,
    wall_seconds=1.0,
    energy_joules=None,
    world_size=1,
)
SIZES = {"update.safetensors": 5000, "training_log.parquet": 300, "diagnostics.parquet": 200}


def assignment(node, attempt=1):
    return f"{ROUND}.{node}.{attempt}"


def build_home(path):
    """Create the home, and let its commands make authority and certificates."""
    home = Home.create(path, Settings(profile=load_profile("local"), recipe=load_recipe("smoke")))
    grant_own_keys(home)
    federation = home.settings.recipe.federation
    assert run(["gateway", "init", "--host", "127.0.0.1", "--host", "localhost", *at(home)]) == 0
    for node in NODES:
        identity = NodeIdentity(node, federation, "A", home.coordinator.public_key)
        folder = home.path / "nodes" / node
        application = create_node(
            folder, identity, profile=build_profile(node), agreement=build_agreement(node)
        )
        Registry(home.ledger).enrol(application, home.coordinator, at=home.audit.size())
        certify(home, node)
    open_round(home)
    return home


def at(home):
    return ["--home", str(home.path)]


def certify(home, node):
    folder = home.path / "nodes" / node
    assert run(["nodes", "request-certificate", str(folder)]) == 0
    request, output = str(folder / "node.csr"), str(folder / "node.pem")
    assert run(["gateway", "issue", node, "--request", request, "-o", output, *at(home)]) == 0


def open_round(home):
    base = RoundBase(
        federation=home.settings.recipe.federation,
        round=ROUND,
        parent_round="r0000",
        parent_checkpoint_sha256=digest_of("model"),
        settings_sha256=digest_of("settings"),
        roster=NODES,
        quorum=1,
        minimum=1,
        opened_at=NOW,
        deadline_at=LATER,
        lr=build_segment(),
        tokens_before=0,
    )
    home.campaign.put_base(base, home.coordinator)
    for node in NODES:
        for attempt in (1, 2):
            home.campaign.put_order(build_order(home, node, attempt), home.coordinator)


def build_order(home, node, attempt):
    model = home.path / "model.safetensors"
    model.write_bytes(bytes(range(256)) * 40)
    files = (describe_file(model),)
    checkpoint = CheckpointRef(round="r0000", checkpoint_sha256=digest_files(files), files=files)
    home.store.put_file(f"checkpoints/{checkpoint.checkpoint_sha256}/model.safetensors", model)
    shard_id = digest_of(node)
    home.store.put_bytes(
        sealed_key(assignment(node, attempt), shard_id), b"sealed for " + node.encode()
    )
    return Order(
        federation=home.settings.recipe.federation,
        round=ROUND,
        assignment_id=assignment(node, attempt),
        node_id=node,
        agreement_sha256=digest_of("agreement"),
        base=checkpoint,
        shards=(
            OrderShard(
                shard_id=shard_id,
                cell="de.health",
                num_tokens=10,
                ciphertext_sha256=digest_of("c"),
                ciphertext_bytes=10,
                plaintext_commitment=digest_of("p"),
                wrapped_key="QUJD",
            ),
        ),
        tokenizer_sha256=digest_of("tokenizer"),
        recipe_sha256=home.settings.recipe_sha256,
        epochs=1,
        lr=build_segment(),
        optimizer_state="reset",
        seed=0,
        image_sha256=None,
        issued_at=NOW,
        deadline_at=LATER,
        nonce=digest_of("nonce"),
    )


def write_job(home, folder, node="node-a", *, attempt=1, sizes=None, seed="", **changes):
    """A job folder whose submission is complete."""
    order = home.campaign.get_order(assignment(node, attempt))
    submission = folder / "submission"
    submission.mkdir(parents=True)
    key = f"rounds/{ROUND}/orders/{order.assignment_id}.json"
    (folder / "order.json").write_bytes(home.store.get_bytes(key))
    for name, num_bytes in (sizes or SIZES).items():
        pattern = digest_of(name + node + seed).encode()
        (submission / name).write_bytes((pattern * (num_bytes // 64 + 1))[:num_bytes])
    manifest = build_manifest(order, submission, **changes)
    signer = SigningKey.read(home.path / "nodes" / node / "keys" / "signing.pem")
    (submission / "submission.json").write_bytes(sign_record(manifest, signer))
    return folder


def build_manifest(order, folder, **changes):
    values = dict(
        federation=order.federation,
        round=order.round,
        assignment_id=order.assignment_id,
        node_id=order.node_id,
        agreement_sha256=order.agreement_sha256,
        order_sha256=order.digest(),
        base_checkpoint_sha256=order.base.checkpoint_sha256,
        shard_ids=tuple(shard.shard_id for shard in order.shards),
        files=tuple(describe_file(path) for path in sorted(folder.glob("*.*"))),
        tensor_schema_sha256=digest_of("schema"),
        metrics=METRICS,
        privacy_claim=None,
        payload_version="0.1.0",
        image_sha256=None,
        started_at=NOW,
        finished_at=now_at(),
        nonce=digest_of("answer"),
    )
    return Submission(**{**values, **changes})


@dataclass
class Answer:
    status: int
    headers: dict
    data: bytes

    @property
    def value(self):
        return json.loads(self.data)

    @property
    def reason(self):
        return self.value["error"]["reason"]


@dataclass
class Running:
    """The server, and how nodes reach it."""

    home: Home
    port: int
    contexts: dict = field(default_factory=dict)

    def context(self, node="node-a") -> ssl.SSLContext:
        if node not in self.contexts:
            file = self.home.path / "nodes" / node / "node.yaml"
            self.contexts[node] = NodeCredentials.read(file).context
        return self.contexts[node]

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, *, node="node-a", connection=None, **headers):
        """Ask; underscores of header names stand for hyphens."""
        held = connection or self.connect_http(node)
        names = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        held.request(method, path, body, names)
        found = held.getresponse()
        answer = Answer(found.status, dict(found.getheaders()), found.read())
        if connection is None:
            held.close()
        return answer

    def connect_http(self, node="node-a"):
        context = self.context(node)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context)

    def connect(self, node="node-a", context=None) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return (context or self.context(node)).wrap_socket(plain, server_hostname="127.0.0.1")

    def send(self, data, node="node-a") -> bytes:
        """Send raw bytes; return all that comes back."""
        with self.connect(node) as connection:
            connection.sendall(data)
            return read_all(connection)

    def upload(self, path, sha256, data, *, node="node-a"):
        """Declare and send a blob."""
        declared = self.ask("PUT", f"{path}/blobs/{sha256}", node=node, upload_length=len(data))
        assert declared.status == 200, declared
        offset = declared.headers["upload-offset"]
        return self.ask("PATCH", f"{path}/blobs/{sha256}", data, node=node, upload_offset=offset)

    def entries(self, action):
        return [e for _, e in Home.open(self.home.path).audit.iter_entries() if e.action == action]


def read_all(connection) -> bytes:
    found = b""
    try:
        while data := connection.recv(65536):
            found += data
    except (ConnectionResetError, ssl.SSLEOFError):
        pass
    return found


@contextmanager
def running(home, limits=LIMITS):
    """Serve in a thread of this process."""
    gateway = build_gateway(home, limits)
    server = build_server(gateway, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Running(home, server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(home, port, *prefix):
    """Serve in a process of its own, by the command; it may be killed."""
    command = [sys.executable, "-m", "synnq_assets_tests.gateway.command"]
    command += ["gateway", "serve", "--port", str(port), *at(home)]
    process = subprocess.Popen([*prefix, *command], env=os.environ)
    try:
        await_port(port, process)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()


def await_port(port, process):
    for _ in range(600):
        assert process.poll() is None, "the gateway ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the gateway did not start")


def list_tree(folder: Path):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
