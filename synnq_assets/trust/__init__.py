"""Who may claim what, and how anyone can check it.

In: records and keys. Out: signed envelopes, sealed shards, an append-only log.

    keys.py        signing keys, X25519 sealing keys, public keys as text
    keyfiles.py    private keys on disk: plain PEM, or wrapped
    wrapping/      keys at rest: passphrase, key folder, Vault; one file each
    encoding.py    canonical base64
    keyring.py     which key may sign in which role, and when
    envelopes.py   DSSE envelopes over in-toto statements
    sealing.py     shards encrypted to one node: AES-256-GCM chunks, data key wrapped by HPKE
    audit/         the Merkle log: intent before the act, result after; heads, receipts, export
    concealing.py  keys of pseudonyms and salts of commitments, for what the log must not name
    algorithms/    Ed25519, ECDSA P-256, ML-DSA-44: one file each
    registry/      the node registry as a TUF repository, and when a key counts
    merkle.py      RFC 6962 tree hashes and proofs
    ledger.py      signed records on the object store, written once, verified when read
    campaign.py    the campaign's records, by round and assignment
    home.py        a coordinator's home: settings, keys, store, ledger, log
"""

from synnq_assets.trust.audit import AuditAction, AuditLog
from synnq_assets.trust.campaign import Campaign
from synnq_assets.trust.envelopes import open_envelope, sign_record
from synnq_assets.trust.home import Home
from synnq_assets.trust.keyring import Keyring
from synnq_assets.trust.keys import SealingKey, SigningKey
from synnq_assets.trust.ledger import Ledger

__all__ = [
    "AuditAction",
    "AuditLog",
    "Campaign",
    "Home",
    "Keyring",
    "Ledger",
    "SealingKey",
    "SigningKey",
    "open_envelope",
    "sign_record",
]
