"""What every signature algorithm offers."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar


class SignatureAlgorithm(ABC):
    """One way to sign; stateless. Keys are those of the `cryptography` package."""

    name: ClassVar[str]
    public_bytes: ClassVar[int]  # length of an encoded public key
    signature_bytes: ClassVar[int]  # length of a signature; every other length is refused

    @abstractmethod
    def owns(self, private: object) -> bool:
        """Return whether a private key is of this algorithm."""

    @abstractmethod
    def generate(self) -> Any:
        """Return a new private key from the system's random source."""

    @abstractmethod
    def encode_public(self, private: Any) -> bytes:
        """Return the one encoding of a private key's public part."""

    @abstractmethod
    def load_public(self, raw: bytes) -> Any:
        """Return a public key that is safe to verify with.

        Raises:
            TrustError: wrong length, not the canonical encoding, or a point under which signatures
                prove nothing.
        """

    @abstractmethod
    def sign(self, private: Any, message: bytes) -> bytes:
        """Return the signature of a message, `signature_bytes` long."""

    @abstractmethod
    def verify(self, public: Any, signature: bytes, message: bytes) -> None:
        """Check a signature.

        Raises:
            SignatureError: it does not verify, or is not in its one encoding.
        """
