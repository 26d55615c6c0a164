"""ML-DSA-44: co-signs the heads of the audit log, so that they outlive Ed25519.

Source: FIPS 204, parameter set ML-DSA-44, empty context, message signed as it is.
"""

from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from synnq_assets.errors import SignatureError
from synnq_assets.trust.algorithms.base import SignatureAlgorithm


class MlDsa44(SignatureAlgorithm):
    """Lattice signatures of NIST category 2."""

    name: ClassVar[str] = "ml-dsa-44"
    public_bytes: ClassVar[int] = 1312
    signature_bytes: ClassVar[int] = 2420

    def owns(self, private: object) -> bool:  # noqa: D102 - contract in the base
        return isinstance(private, MLDSA44PrivateKey)

    def generate(self) -> MLDSA44PrivateKey:  # noqa: D102
        return MLDSA44PrivateKey.generate()

    def encode_public(self, private: MLDSA44PrivateKey) -> bytes:  # noqa: D102
        return private.public_key().public_bytes_raw()

    def load_public(self, raw: bytes) -> MLDSA44PublicKey:  # noqa: D102
        return MLDSA44PublicKey.from_public_bytes(raw)

    def sign(self, private: MLDSA44PrivateKey, message: bytes) -> bytes:  # noqa: D102
        return private.sign(message)

    def verify(  # noqa: D102
        self, public: MLDSA44PublicKey, signature: bytes, message: bytes
    ) -> None:
        try:
            public.verify(signature, message)
        except InvalidSignature as error:
            raise SignatureError("signature does not verify") from error
