"""The node registry as a TUF repository: who takes part, signed so that strangers can follow it.

In: node records and key grants from the ledger. Out: TUF metadata (root, targets, snapshot,
timestamp), a folder that any TUF client can read, and a client that believes it step by step.
The root is 2 of 3 and meant to be kept offline; `targets` is signed by the coordinator, snapshot
and timestamp by a key of their own that is online and whose word lasts a day.

    validity.py    from the versions of a node's record to the windows in which its keys count
    roles.py       the four roles: keys, lifetimes, root metadata and its signatures
    repository.py  metadata in the object store: publish, refresh, rotate the root, export
    client.py      verify a repository from a pinned root; remember it, and refuse to go back

`roles`, `repository` and `client` need `tuf`, which the extras `coordinator` and `node` bring; they
are imported where they are used.

Source: TUF specification 1.0.
"""
