"""Who gets in: item 87 of the list, and that a node is what its certificate says."""

import socket
import ssl

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from synnq_assets.cli.app import run
from synnq_assets.errors import GatewayError
from synnq_assets.gateway.attachments import attach_envelope, open_attached
from synnq_assets.gateway.certificates import Authority, build_request
from synnq_assets.gateway.channels import build_client_context
from synnq_assets.gateway.credentials import NodeCredentials
from synnq_assets.trust.keyfiles import KeyFile, write_private
from synnq_assets_tests.gateway import world


def knock(gateway, context):
    """Ask for orders; return the first bytes of the answer.

    With TLS 1.3 a client finishes before the server has judged its certificate: a handshake that
    fails then shows as an alert or an end at the first read, and no byte of HTTP was taken.
    """
    with gateway.connect(context=context) as connection:
        try:
            connection.sendall(b"GET /v1/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return connection.recv(100)
        except OSError:
            return b""


def build_anonymous(gateway):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(gateway.home.path / "keys" / "gateway" / "authority.pem")
    return context


def build_foreign(gateway, folder):
    """A certificate that another authority issued to the same name."""
    authority = Authority(folder / "gateway", KeyFile(folder / "key.pem", "other", "authority"))
    authority.create(None)
    key = ec.generate_private_key(ec.SECP256R1())
    issued = authority.issue_node("node-a", build_request(key, "node-a"), days=1)
    (folder / "chain.pem").write_bytes(issued.chain)
    write_private(folder / "tls.pem", key, None)
    ours = gateway.home.path / "keys" / "gateway" / "authority.pem"
    return build_client_context(folder / "chain.pem", folder / "tls.pem", ours.read_text())


def test_87_a_client_without_a_certificate_fails_the_handshake(gateway):
    assert knock(gateway, build_anonymous(gateway)) == b""
    assert knock(gateway, gateway.context("node-a")).startswith(b"HTTP/1.1 200")


def test_87_a_certificate_of_a_foreign_authority_fails_the_handshake(gateway, tmp_path):
    assert knock(gateway, build_foreign(gateway, tmp_path / "foreign")) == b""


def test_the_gateways_own_certificate_is_no_clients(gateway):
    keys = gateway.home.path / "keys" / "gateway"
    context = build_client_context(
        keys / "server.pem", keys / "server-key.pem", (keys / "authority.pem").read_text()
    )
    assert knock(gateway, context) == b""


def test_a_client_that_offers_at_most_tls_1_2_is_refused(gateway):
    file = gateway.home.path / "nodes" / "node-a" / "node.yaml"
    context = NodeCredentials.read(file).context
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        knock(gateway, context)


def test_a_client_that_speaks_no_tls_gets_nothing(gateway):
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(b"GET /v1/orders HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 200" not in world.read_all(connection)


def test_a_node_does_not_talk_to_a_gateway_of_another_authority(gateway, tmp_path):
    other = world.build_home(tmp_path / "other")
    context = NodeCredentials.read(other.path / "nodes" / "node-a" / "node.yaml").context
    with pytest.raises(ssl.SSLCertVerificationError):
        knock(gateway, context)


def test_a_node_is_what_its_certificate_says_whatever_headers_and_paths_say(gateway):
    answer = gateway.ask(
        "GET", "/v1/orders?node_id=node-b", node="node-a", x_node_id="node-b", forwarded="node-b"
    )
    assert {row["assignment_id"].split(".")[1] for row in answer.value["orders"]} == {"node-a"}


@pytest.mark.parametrize("verb", ["suspend", "revoke"])
def test_a_node_that_is_shut_out_is_refused_at_its_next_request(verb, gateway):
    connection = gateway.connect_http()
    assert gateway.ask("GET", "/v1/orders", connection=connection).status == 200
    assert run(["nodes", verb, "node-a", *world.at(gateway.home)]) == 0
    answer = gateway.ask("GET", "/v1/orders", connection=connection)  # the same handshake
    connection.close()
    assert (answer.status, answer.reason) == (403, "not_active")
    assert gateway.ask("GET", "/v1/orders", node="node-b").status == 200


def test_a_certificate_that_is_withdrawn_counts_no_more(gateway):
    assert gateway.ask("GET", "/v1/orders").status == 200
    for path in (gateway.home.path / "keys" / "gateway" / "issued").glob("node-a-*.pem"):
        path.unlink()
    answer = gateway.ask("GET", "/v1/orders")
    assert (answer.status, answer.reason) == (403, "certificate_withdrawn")


def test_only_an_active_node_gets_a_certificate(home, capsys):
    request = home.path / "nodes" / "node-a" / "node.csr"
    issue = ["gateway", "issue", "--request", str(request), "-o", str(home.path / "out.pem")]
    assert run([*issue, "node-c", *world.at(home)]) == 2
    assert run([*issue, "node-b", *world.at(home)]) == 2  # node-a's request
    assert run(["nodes", "suspend", "node-a", *world.at(home)]) == 0
    assert run([*issue, "node-a", *world.at(home)]) == 2
    assert not (home.path / "out.pem").exists()


def test_every_issue_is_an_audited_act_with_its_serial(home):
    acts = [e for _, e in home.audit.iter_entries() if e.action == "issue_certificate"]
    assert [(e.phase, e.subject) for e in acts] == [
        (phase, home.audit.conceal(node)) for node in world.NODES for phase in ("intent", "result")
    ]
    names = {path.stem for path in (home.path / "keys" / "gateway" / "issued").iterdir()}
    results = [entry for entry in acts if entry.phase == "result"]
    serials = [entry.details["serial"] for entry in results]
    assert names == {f"{node}-{serial}" for node, serial in zip(world.NODES, serials, strict=True)}


def test_a_certificate_that_was_exchanged_on_its_way_is_not_used(home, tmp_path):
    folder = home.path / "nodes" / "node-a"
    other = home.path / "nodes" / "node-b" / "node.pem"
    (folder / "node.pem").write_bytes(other.read_bytes())
    with pytest.raises(GatewayError, match="not over this certificate of node-a"):
        NodeCredentials.read(folder / "node.yaml")


def test_a_signature_is_over_every_byte_before_it(home):
    key = home.coordinator
    signed = attach_envelope(b"some pem\n", node_id="node-a", purpose="certificate", key=key)

    def open_it(data, purpose="certificate", node="node-a"):
        return open_attached(data, home.keyring, node_id=node, purpose=purpose, role="coordinator")

    assert open_it(signed) == b"some pem\n"
    for data in (
        b"x" + signed,
        signed + b"x",
        b"some pem\n",
        b"",
        signed.replace(b"some", b"sone"),
    ):
        with pytest.raises(GatewayError):
            open_it(data)
    with pytest.raises(GatewayError):
        open_it(signed, purpose="certificate-request")
    with pytest.raises(GatewayError):
        open_it(signed, node="node-b")
