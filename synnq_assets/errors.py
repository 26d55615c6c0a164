"""Every error that SYNNQ assets raises on purpose, in one tree.

    SynnqError
    ├── SettingsError            a profile, recipe or environment value is missing or wrong
    ├── RecordError              bytes that cross a boundary are not the record they claim to be
    │   └── PrivacyError         something that may not leave a node was about to, or did
    ├── TrustError
    │   ├── SignatureError       no valid signature by a key that may sign this record
    │   ├── SealError            a sealed shard does not open: wrong key, damaged, or truncated
    │   ├── KeyProtectionError   a key at rest does not open, or cannot be protected
    │   ├── RegistryError        the registry's metadata cannot be believed, or cannot be signed
    │   │   └── StaleRegistryError  it expired, or is older than what was believed before
    │   └── AuditError           the audit log is not what it was
    ├── StorageError
    │   ├── ObjectNotFoundError  nothing is stored under this key
    │   ├── ObjectConflictError  something else is stored under this write-once key
    │   └── TensorFileError      a safetensors file breaks the strict profile
    ├── CorpusError
    │   ├── UnknownSourceError   no source of this kind or name
    │   └── EmptyCorpusError     no document, or none that passed
    ├── ShardError               documents cannot be packed, or a shard is not what it says
    ├── FederationError
    │   ├── EnrolmentError       a node cannot be enrolled, or is not enrolled
    │   ├── AllocationError      no assignment of shards to nodes meets the constraints
    │   └── OrderError           an order cannot be issued, or cannot be trusted
    ├── ComputeError             a backend could not submit, poll, cancel or fetch
    ├── TrainingError            the payload cannot go on
    ├── SubmissionError          intake itself failed (a refusal is a verdict, not an error)
    ├── AggregationError         a rule's condition fails, or inputs disagree
    ├── EvaluationError          an evaluation could not run
    ├── ReleaseError             a release cannot be built, or does not verify
    ├── ServingError             the inference API refuses to start
    └── GatewayError             the submission gateway refuses, or cannot be asked

Each message is one sentence for the operator: what is wrong, where, and what to do.
"""


class SynnqError(Exception):
    """Base of all deliberate errors. `is_transient` says whether trying again can help."""

    is_transient: bool = False


class SettingsError(SynnqError):
    """A profile, recipe or environment value is missing, misspelt or contradictory."""


class RecordError(SynnqError):
    """Foreign bytes do not parse as the record that was expected."""


class PrivacyError(RecordError):
    """Something that is no registered figure, id or code; the message never repeats it."""


class TrustError(SynnqError):
    """A claim cannot be trusted."""


class SignatureError(TrustError):
    """No valid signature by a key that is entitled to sign this kind of record."""


class SealError(TrustError):
    """Sealed bytes do not open; nothing of their content was released."""


class KeyProtectionError(TrustError):
    """A key at rest does not open, or cannot be protected; nothing of it was released."""


class RegistryError(TrustError):
    """The registry's metadata cannot be believed, or cannot be signed with these keys."""


class StaleRegistryError(RegistryError):
    """The registry's metadata expired, or is older than what was believed before."""


class AuditError(TrustError):
    """The audit log is inconsistent with itself or with a signed checkpoint."""


class StorageError(SynnqError):
    """The object store could not do what was asked."""


class ObjectNotFoundError(StorageError):
    """Nothing is stored under this key."""


class ObjectConflictError(StorageError):
    """A write-once key already holds other bytes."""


class TensorFileError(StorageError):
    """A safetensors file breaks the strict profile."""


class CorpusError(SynnqError):
    """A corpus cannot be read or curated."""


class UnknownSourceError(CorpusError):
    """No corpus source of this kind or name is known."""


class EmptyCorpusError(CorpusError):
    """A source holds no document, or none that passed curation."""


class ShardError(SynnqError):
    """Documents cannot be packed, or a shard is not what its manifest says."""


class FederationError(SynnqError):
    """The federation's rules forbid what was asked."""


class EnrolmentError(FederationError):
    """A node cannot be enrolled, or is not enrolled."""


class AllocationError(FederationError):
    """No assignment of shards to nodes meets the constraints."""


class OrderError(FederationError):
    """An order cannot be issued, or cannot be trusted by the node that received it."""


class ComputeError(SynnqError):
    """A compute backend could not submit, poll, cancel or fetch."""


class TrainingError(SynnqError):
    """The training payload cannot go on; its last checkpoint is intact."""


class SubmissionError(SynnqError):
    """Intake itself failed; a refused submission is a verdict, not an error."""


class AggregationError(SynnqError):
    """A rule's condition fails or inputs disagree; the parent checkpoint is untouched."""


class EvaluationError(SynnqError):
    """An evaluation could not run to its end."""


class ReleaseError(SynnqError):
    """A release cannot be built, or does not verify."""


class ServingError(SynnqError):
    """The inference API refuses to start or to answer."""


class GatewayError(SynnqError):
    """The submission gateway refuses, cannot start, or cannot be reached."""
