"""A node's payload that tries to let text out: it runs the real payload, then does what it can.

The attempt in the assignment id chooses the leak. What the real payload could never do, the module
does to its finished submission, and signs it again with the node's own key: only intake is left.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synnq_assets.errors import TrainingError
from synnq_assets.records.base import canonical_json, sha256_hex
from synnq_assets.records.identifiers import parse_assignment_id
from synnq_assets.records.submissions import Submission
from synnq_assets.settings import load_node_settings
from synnq_assets.storage.files import describe_file, write_atomically
from synnq_assets.storage.tensors import TensorFile, encode_tensors
from synnq_assets.training.__main__ import main as run_payload
from synnq_assets.trust import SigningKey
from synnq_assets.trust.encoding import decode_base64, encode_base64
from synnq_assets.trust.envelopes import PAYLOAD_TYPE, encode_for_signing

LOG, UPDATE, MANIFEST = "training_log.parquet", "update.safetensors", "submission.json"


def rewrite_log(folder, change):
    table = change(pq.read_table(folder / LOG))
    pq.write_table(table, folder / LOG, store_schema=False)


def add_text_column(folder, text, manifest):
    rewrite_log(folder, lambda t: t.append_column("note", pa.array([text] * len(t))))


def name_a_column(folder, text, manifest):
    rewrite_log(folder, lambda t: t.append_column(text[:300], pa.array([1.0] * len(t))))


def turn_losses_into_text(folder, text, manifest):
    values = pa.array([text] * pq.read_metadata(folder / LOG).num_rows)
    rewrite_log(folder, lambda t: t.set_column(t.column_names.index("loss"), "loss", values))


def add_a_parquet_note(folder, text, manifest):
    table = pq.read_table(folder / LOG).replace_schema_metadata({"host": text})
    pq.write_table(table, folder / LOG)


def name_a_tensor(folder, text, manifest):
    with TensorFile(folder / UPDATE) as file:
        first = next(iter(file.tensors))
        arrays = {
            name: (info.dtype, file.read_block(name, 0, info.num_elements))
            for name, info in file.tensors.items()
            if name != first
        }
    word = "".join(char for char in text[:150] if char.isalnum())
    data = encode_tensors({**arrays, word: ("BF16", arrays[next(iter(arrays))][1])})
    write_atomically(folder / UPDATE, data)


def add_a_safetensors_note(folder, text, manifest):
    data = (folder / UPDATE).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = {"format": "pt", "host": text}
    raw = json.dumps(header).encode()
    write_atomically(folder / UPDATE, len(raw).to_bytes(8, "little") + raw + data[8 + length :])


def add_a_field(folder, text, manifest):
    manifest["metrics"][text[:200]] = text


def fill_a_field(folder, text, manifest):
    manifest["payload_version"] = text[:60]


def fill_an_id(folder, text, manifest):
    manifest["round"] = text


def name_files(folder, text, manifest):
    for number, word in enumerate(text.split("\n")[:40]):
        (folder / f"{number}-{word[:80].replace('/', '_')}").write_text(text)


LEAKS = {  # attempt -> what is done to the finished submission
    2: add_text_column,
    3: name_a_column,
    4: turn_losses_into_text,
    5: add_a_parquet_note,
    6: name_a_tensor,
    7: add_a_safetensors_note,
    8: add_a_field,
    9: fill_a_field,
    10: fill_an_id,
    11: name_files,
}
RAISES = {12: RuntimeError, 13: TrainingError, 14: KeyError}
PRINTS = 15  # and ends with a code of its own


def leak(folder, text, node, change):
    """Change a finished submission, and sign it as if it were honest."""
    envelope = json.loads((folder / MANIFEST).read_bytes())
    statement = json.loads(decode_base64(envelope["payload"]))
    manifest = statement["predicate"]
    change(folder, text, manifest)
    names = [file["name"] for file in manifest["files"]]
    manifest["files"] = [describe_file(folder / name).model_dump(mode="json") for name in names]
    try:
        digest = Submission.from_json_value(manifest).digest()
    except Exception:
        digest = sha256_hex(canonical_json(manifest))
    statement["subject"] = [{"name": "submission", "digest": {"sha256": digest}}]
    payload, key = canonical_json(statement), SigningKey.read(node.signing_key)
    signature = encode_base64(key.sign(encode_for_signing(PAYLOAD_TYPE, payload)))
    envelope |= {"payload": encode_base64(payload)}
    envelope["signatures"] = [{"keyid": key.key_id, "sig": signature}]
    write_atomically(folder / MANIFEST, json.dumps(envelope).encode())


def main(arguments):
    """Run the payload with canaries wherever it can be given some."""
    text = Path(os.environ["SYNNQ_CANARIES"]).read_text()
    job = Path(arguments[0]).resolve().parent
    attempt = parse_assignment_id(job.name)[2]

    def speak(update):
        print(text)
        os.write(2, text.encode())
        warnings.warn(text, stacklevel=1)
        logging.getLogger("x").error(text)
        if error := RAISES.get(attempt):
            raise error(text)
        return update

    code = run_payload(arguments, transform_update=speak)
    if attempt in LEAKS:
        node = load_node_settings(Path(arguments[-1]))
        leak(job / "submission", text, node, LEAKS[attempt])
        (job / "progress.json").write_text(json.dumps({"phase": "training", "message": text}))
        sys.stderr.write(text)
    if attempt == PRINTS:
        sys.stderr.write(f"{text}\nsynnq: {text.splitlines()[0]}\n")
        return 3
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
