"""Signature algorithms: the key says which one it is, never the envelope that it signed.

A public key is written `<algorithm>:<base64>`. The registry binds that text to an identity, so
nobody who hands in a signature chooses how it is checked.

| name | for | public key | signature | file |
|---|---|---|---|---|
| `ed25519` | everyone, by default | 32 bytes | 64 bytes | ed25519.py |
| `ecdsa-p256` | keys held by hardware | 33 bytes, compressed | 64 bytes, r and s | ecdsa_p256.py |
| `ml-dsa-44` | co-signing heads of the audit log | 1312 bytes | 2420 bytes | ml_dsa_44.py |

base.py has the contract.
"""

from synnq_assets.errors import TrustError
from synnq_assets.trust.algorithms.base import SignatureAlgorithm
from synnq_assets.trust.algorithms.ecdsa_p256 import EcdsaP256
from synnq_assets.trust.algorithms.ed25519 import Ed25519
from synnq_assets.trust.algorithms.ml_dsa_44 import MlDsa44

ALGORITHMS: dict[str, SignatureAlgorithm] = {
    Ed25519.name: Ed25519(),
    EcdsaP256.name: EcdsaP256(),
    MlDsa44.name: MlDsa44(),
}


def find_algorithm(name: str) -> SignatureAlgorithm:
    """Return an algorithm by name.

    Raises:
        TrustError: there is none of this name.
    """
    if name not in ALGORITHMS:
        raise TrustError(f"unknown signature algorithm {name[:40]!r}; use {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def find_algorithm_of(private: object) -> SignatureAlgorithm:
    """Return the algorithm that a private key of `cryptography` belongs to.

    Raises:
        TrustError: it belongs to none.
    """
    for algorithm in ALGORITHMS.values():
        if algorithm.owns(private):
            return algorithm
    raise TrustError(f"a private key of another kind than {', '.join(ALGORITHMS)}")


__all__ = ["ALGORITHMS", "SignatureAlgorithm", "find_algorithm", "find_algorithm_of"]
