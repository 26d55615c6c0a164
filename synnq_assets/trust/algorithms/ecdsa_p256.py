"""ECDSA on P-256 with SHA-256: for keys that a hardware module holds and that speak no Ed25519.

A signature is r and s, 32 bytes each, big endian, with s in the lower half of the group's order:
of the two that verify, only one is accepted, so that nobody can make a second from a first.

Source: FIPS 186-5 §6; SEC 1 v2 §2.3.3 for the compressed point; BIP 62 for the lower half.
"""

from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from synnq_assets.errors import SignatureError, TrustError
from synnq_assets.trust.algorithms.base import SignatureAlgorithm

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HASH = ec.ECDSA(hashes.SHA256())


class EcdsaP256(SignatureAlgorithm):
    """ECDSA over the SHA-256 of the message."""

    name: ClassVar[str] = "ecdsa-p256"
    public_bytes: ClassVar[int] = 33
    signature_bytes: ClassVar[int] = 64

    def owns(self, private: object) -> bool:  # noqa: D102 - contract in the base
        return isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(
            private.curve, ec.SECP256R1
        )

    def generate(self) -> ec.EllipticCurvePrivateKey:  # noqa: D102
        return ec.generate_private_key(ec.SECP256R1())

    def encode_public(self, private: ec.EllipticCurvePrivateKey) -> bytes:  # noqa: D102
        return private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
        )

    def load_public(self, raw: bytes) -> ec.EllipticCurvePublicKey:  # noqa: D102
        if raw[0] not in (2, 3):
            raise TrustError("public key is not a compressed point")
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        except ValueError as error:
            raise TrustError("public key is not a point on the curve") from error

    def sign(self, private: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:  # noqa: D102
        r, s = decode_dss_signature(private.sign(message, _HASH))
        return r.to_bytes(32, "big") + min(s, _ORDER - s).to_bytes(32, "big")

    def verify(  # noqa: D102
        self, public: ec.EllipticCurvePublicKey, signature: bytes, message: bytes
    ) -> None:
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        if s > _ORDER // 2:
            raise SignatureError("signature is not in its canonical form")
        try:
            public.verify(encode_dss_signature(r, s), message, _HASH)
        except InvalidSignature as error:
            raise SignatureError("signature does not verify") from error
