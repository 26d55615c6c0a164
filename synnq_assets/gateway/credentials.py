"""The node's side of a certificate: its key never leaves the node's folder.

<node>/keys/tls.pem   private key, ECDSA P-256
<node>/node.csr       request, with the node's signature attached
<node>/node.pem       certificate and authority, with the coordinator's signature attached
"""

from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

from cryptography.hazmat.primitives.asymmetric import ec

from synnq_assets.errors import GatewayError
from synnq_assets.gateway.attachments import attach_envelope, open_attached
from synnq_assets.gateway.certificates import build_request
from synnq_assets.gateway.channels import build_client_context
from synnq_assets.settings import NodeSettings, load_node_settings
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.keyfiles import KeyFile, node_key_file, read_private, write_private
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SigningKey

TLS_KEY, REQUEST, CERTIFICATE = "keys/tls.pem", "node.csr", "node.pem"
_END = b"-----END CERTIFICATE-----\n"


def create_request(folder: Path) -> Path:
    """Create a node's TLS key, unless it has one, and its request; return the request's path.

    Raises:
        SettingsError: the folder holds no node.
        TrustError: the key that stands there is unreadable.
    """
    settings = load_node_settings(folder / "node.yaml")
    path = folder / TLS_KEY
    if not path.exists():
        write_private(path, ec.generate_private_key(ec.SECP256R1()), None)
    request = attach_envelope(
        build_request(read_private(KeyFile(path)), settings.node_id),
        node_id=settings.node_id,
        purpose="certificate-request",
        key=SigningKey.read(node_key_file(settings, "signing")),
    )
    write_atomically(folder / REQUEST, request)
    return folder / REQUEST


@dataclass(frozen=True)
class NodeCredentials:
    """Who a node is to the gateway, and which gateway it trusts."""

    settings: NodeSettings
    context: SSLContext

    @classmethod
    def read(cls, node_file: Path) -> "NodeCredentials":
        """Read key and certificate from the folder of `node.yaml`.

        Raises:
            SettingsError: no node there.
            GatewayError: no certificate, or not one that the pinned coordinator issued to it.
        """
        settings = load_node_settings(node_file)
        folder = node_file.resolve().parent
        path = folder / CERTIFICATE
        try:
            data = path.read_bytes()
        except OSError as error:
            raise GatewayError(
                f"no certificate {path}; ask with `synnq nodes request-certificate {folder}`"
            ) from error
        pem = open_attached(
            data,
            Keyring.with_root(settings.federation, settings.coordinator_public_key),
            node_id=settings.node_id,
            purpose="certificate",
            role="coordinator",
        )
        authority = pem.partition(_END)[2].decode("ascii")
        return cls(settings, build_client_context(path, folder / TLS_KEY, authority))
