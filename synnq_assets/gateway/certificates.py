"""A small certificate authority for mutual TLS, ECDSA P-256.

    keys/gateway-authority.pem   its private key, protected as the home's other keys are
    keys/gateway/
      authority.pem              its certificate: ten years; signs what is below, and no authority
      server.pem server-key.pem  for the gateway's host names
      issued/<node>-<serial>.pem what nodes were given; a file that is gone counts no more

Names come from the authority, never from a request: a node's certificate says `synnq:node:<id>`
as its only name. Sources: RFC 5280 (X.509), RFC 2986 (PKCS#10).
"""

import datetime as dt
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from synnq_assets.errors import GatewayError, RecordError
from synnq_assets.records.base import now_at
from synnq_assets.records.identifiers import parse_node_id
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust.home import Home
from synnq_assets.trust.keyfiles import KeyFile, write_private
from synnq_assets.trust.keys import SigningKey
from synnq_assets.trust.wrapping import KeyWrapper

AUTHORITY, SERVER, SERVER_KEY = "authority.pem", "server.pem", "server-key.pem"
ISSUED = "issued"
NODE_URI = "synnq:node:"
AUTHORITY_DAYS, SERVER_DAYS, NODE_DAYS = 3650, 365, 90
CLOCK_SKEW = dt.timedelta(minutes=5)


@dataclass(frozen=True)
class IssuedCertificate:
    """A node's certificate, the authority's after it."""

    chain: bytes  # PEM
    serial: str  # hexadecimal
    sha256: str  # fingerprint of the node's certificate
    expires_at: dt.datetime


def keys_path(home_path: Path) -> Path:
    """Return the folder of a home's certificates."""
    return home_path / "keys" / "gateway"


def encode_certificate(certificate: x509.Certificate) -> bytes:
    """Return a certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Authority:
    """The authority of one home."""

    folder: Path
    key_file: KeyFile

    @classmethod
    def of_home(cls, home: Home) -> "Authority":
        """Return where a home's authority is; its key lies with the home's other keys."""
        return cls(keys_path(home.path), home.key_file("gateway-authority"))

    def create(self, wrapper: KeyWrapper | None) -> str:
        """Create the authority, unless there is one; return its fingerprint (SHA-256 hex).

        Args:
            wrapper: protects its private key; without it, that is a plain file.

        Raises:
            StorageError: the folder cannot be written.
            GatewayError: what stands there cannot be read.
        """
        if not (self.folder / AUTHORITY).exists():
            key = SigningKey.generate("ecdsa-p256")
            key.write(self.key_file, wrapper)
            name = _build_name(f"{self.key_file.federation} gateway authority")
            until = now_at() + dt.timedelta(days=AUTHORITY_DAYS)
            builder = _begin(name, name, key.private.public_key()).not_valid_after(until)
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
            builder = builder.add_extension(_build_usage(is_authority=True), True)
            certificate = builder.sign(key.private, hashes.SHA256())
            write_atomically(self.folder / AUTHORITY, encode_certificate(certificate))
        return self._read_certificate().fingerprint(hashes.SHA256()).hex()

    def issue_server(self, hosts: Sequence[str]) -> None:
        """Create the gateway's own key and certificate; earlier ones are replaced.

        Raises:
            GatewayError: no host, one that is neither a name nor an address, or no authority.
        """
        if not hosts:
            raise GatewayError("name at least one host that nodes will call, with --host")
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_parse_host(host) for host in hosts])
        certificate = self._issue(
            key.public_key(), names, ExtendedKeyUsageOID.SERVER_AUTH, SERVER_DAYS
        )
        write_private(self.folder / SERVER_KEY, key, None)  # plain: the server starts unattended
        write_atomically(self.folder / SERVER, encode_certificate(certificate))

    def issue_node(self, node_id: str, request: bytes, *, days: int) -> IssuedCertificate:
        """Certify a node's own key for `days`, and note that it counts.

        Raises:
            GatewayError: not a request, or by a key of another kind; or there is no authority.
        """
        public_key = parse_request(request)
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(NODE_URI + node_id)])
        certificate = self._issue(public_key, names, ExtendedKeyUsageOID.CLIENT_AUTH, days)
        pem = encode_certificate(certificate)
        write_atomically(issued_path(self.folder, node_id, certificate.serial_number), pem)
        return IssuedCertificate(
            chain=pem + encode_certificate(self._read_certificate()),
            serial=f"{certificate.serial_number:x}",
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            expires_at=certificate.not_valid_after_utc,
        )

    def _read_certificate(self) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate((self.folder / AUTHORITY).read_bytes())
        except (OSError, ValueError) as error:
            raise GatewayError(
                f"no certificate authority in {self.folder}; make it with `synnq gateway init`"
            ) from error

    def _issue(
        self, public_key: Any, names: x509.SubjectAlternativeName, use: Any, days: int
    ) -> x509.Certificate:
        own, key = self._read_certificate(), SigningKey.read(self.key_file).private
        subject = x509.Name([])  # RFC 5280 §4.1.2.6: then the alternative name is critical
        until = min(now_at() + dt.timedelta(days=days), own.not_valid_after_utc)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        return (
            _begin(subject, own.subject, public_key)
            .not_valid_after(until)
            .add_extension(names, True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
            .add_extension(_build_usage(is_authority=False), True)
            .add_extension(x509.ExtendedKeyUsage([use]), False)
            .add_extension(identifier, False)
            .sign(key, hashes.SHA256())
        )


def issued_path(folder: Path, node_id: str, serial: int) -> Path:
    """Return where a node's certificate is noted as long as it counts."""
    return folder / ISSUED / f"{node_id}-{serial:x}.pem"


def build_request(key: Any, node_id: str) -> bytes:
    """Return a certificate request (PEM) by a node's key."""
    builder = x509.CertificateSigningRequestBuilder(_build_name(node_id))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def parse_request(pem: bytes) -> Any:
    """Return the public key of a request that its own key signed; all else in it is ignored.

    Raises:
        GatewayError: not a request, not signed by its key, or a key that is not taken.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        public_key = request.public_key()
        is_signed = request.is_signature_valid
    except Exception as error:  # the library raises ValueError, TypeError and its own kinds
        raise GatewayError("not a certificate request in PEM") from error
    is_curve = isinstance(public_key, ec.EllipticCurvePublicKey) and isinstance(
        public_key.curve, ec.SECP256R1 | ec.SECP384R1
    )
    if not is_signed or not (is_curve or isinstance(public_key, ed25519.Ed25519PublicKey)):
        raise GatewayError("a request has to be by an ECDSA P-256, P-384 or Ed25519 key of its own")
    return public_key


def read_node_id(peer: Mapping[str, Any]) -> str | None:
    """Return the node that a verified certificate names, as Python's ssl module shows it."""
    names = peer.get("subjectAltName", ())
    if len(names) != 1 or names[0][0] != "URI" or not names[0][1].startswith(NODE_URI):
        return None
    try:
        return parse_node_id(names[0][1].removeprefix(NODE_URI))
    except RecordError:
        return None


def _build_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _parse_host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except UnicodeError as error:
        raise GatewayError(f"{host!r} is neither a host name nor an address") from error


def _begin(subject: x509.Name, issuer: x509.Name, public_key: Any) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(public_key)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now_at() - CLOCK_SKEW)
        .add_extension(identifier, False)
    )


def _build_usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
