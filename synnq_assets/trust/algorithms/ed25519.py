"""Ed25519: the default.

The library accepts points of small order, under which one signature verifies for many messages:
their holder could disown anything. They are refused here, as are non-canonical encodings.

Source: RFC 8032; Chalkias, Garillot and Nikolaenko 2020, Taming the many EdDSAs, ePrint 2020/1244.
"""

from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from synnq_assets.errors import SignatureError, TrustError
from synnq_assets.trust.algorithms.base import SignatureAlgorithm

_FIELD = 2**255 - 19
_CURVE_D = (-121665 * pow(121666, -1, _FIELD)) % _FIELD
_ORDER = 2**252 + 27742317777372353535851937790883648493


class Ed25519(SignatureAlgorithm):
    """Ed25519 over the message itself."""

    name: ClassVar[str] = "ed25519"
    public_bytes: ClassVar[int] = 32
    signature_bytes: ClassVar[int] = 64

    def owns(self, private: object) -> bool:  # noqa: D102 - contract in the base
        return isinstance(private, Ed25519PrivateKey)

    def generate(self) -> Ed25519PrivateKey:  # noqa: D102
        return Ed25519PrivateKey.generate()

    def encode_public(self, private: Ed25519PrivateKey) -> bytes:  # noqa: D102
        return private.public_key().public_bytes_raw()

    def load_public(self, raw: bytes) -> Ed25519PublicKey:  # noqa: D102
        _verify_point(raw)
        return Ed25519PublicKey.from_public_bytes(raw)

    def sign(self, private: Ed25519PrivateKey, message: bytes) -> bytes:  # noqa: D102
        return private.sign(message)

    def verify(  # noqa: D102
        self, public: Ed25519PublicKey, signature: bytes, message: bytes
    ) -> None:
        if int.from_bytes(signature[32:], "little") >= _ORDER:
            raise SignatureError("signature is not in its canonical form")
        try:
            public.verify(signature, message)
        except InvalidSignature as error:
            raise SignatureError("signature does not verify") from error


def _verify_point(raw: bytes) -> None:
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    sign = raw[31] >> 7
    if y >= _FIELD:
        raise TrustError("public key is not in canonical form")
    x_squared = (y * y - 1) * pow(_CURVE_D * y * y + 1, -1, _FIELD) % _FIELD
    x = pow(x_squared, (_FIELD + 3) // 8, _FIELD)
    if (x * x - x_squared) % _FIELD:
        x = x * pow(2, (_FIELD - 1) // 4, _FIELD) % _FIELD
    if (x * x - x_squared) % _FIELD:
        raise TrustError("public key is not a point on the curve")
    if x == 0 and sign:
        raise TrustError("public key is not in canonical form")
    point = (x if x & 1 == sign else _FIELD - x, y)
    for _ in range(3):
        point = _double(point)
    if point == (0, 1):
        raise TrustError("public key has small order")


def _double(point: tuple[int, int]) -> tuple[int, int]:
    x, y = point
    product = _CURVE_D * x * x * y * y % _FIELD
    x_sum = 2 * x * y * pow(1 + product, -1, _FIELD)
    y_sum = (y * y + x * x) * pow(1 - product, -1, _FIELD)
    return x_sum % _FIELD, y_sum % _FIELD
