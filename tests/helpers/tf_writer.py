"""Writes TensorFlow's checkpoints, of both formats, without TensorFlow, and parts of them that are to be wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_resnet.checkpoints.formats.tensorflow.table import masked_crc32c

Arrays = dict[str, Any]
Entry = tuple[bytes, bytes]


def number(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def integer(field: int, value: int) -> bytes:
    return number(field << 3) + number(value) if value else b""


def blob(field: int, value: bytes) -> bytes:
    return number(field << 3 | 2) + number(len(value)) + value


def shape(*sizes: int) -> bytes:
    return b"".join(blob(2, integer(1, size)) for size in sizes)


def handle(start: int, size: int) -> bytes:
    return number(start) + number(size)


def seal(contents: bytes, kind: int = 0) -> bytes:
    contents += bytes([kind])
    return contents + masked_crc32c(contents).to_bytes(4, "little")


def block(entries: list[Entry]) -> bytes:
    out, restarts, before = b"", [], b""
    for index, (key, value) in enumerate(entries):
        shared = 0
        if index % 16 == 0:
            restarts.append(len(out))
        else:
            while key[: shared + 1] == before[: shared + 1] and shared < min(len(key), len(before)):
                shared += 1
        out += number(shared) + number(len(key) - shared) + number(len(value)) + key[shared:] + value
        before = key
    return out + b"".join(at.to_bytes(4, "little") for at in [*(restarts or [0]), len(restarts or [0])])


def squeeze(data: bytes) -> bytes:
    """Snappy, as simply as it goes: runs of a repeated 4 bytes are copied, all else is literal."""
    out, at, literal = number(len(data)), 0, b""
    while at <= len(data):
        length = 0
        while at >= 4 and length < 64 and at + length < len(data) and data[at + length] == data[at + length - 4]:
            length += 1
        if literal and (length > 3 or at == len(data) or len(literal) == 60):
            out += bytes([len(literal) - 1 << 2]) + literal
            literal = b""
        if length > 3:
            out += bytes([length - 1 << 2 | 2, 4, 0])
            at += length
        else:
            literal += data[at : at + 1]
            at += 1
    return out


def finish(body: bytes, index: list[Entry], at: int | None = None) -> bytes:
    """The table of some blocks, whose index is where it is, or where one says."""
    meta, last = seal(block([])), seal(block(index))
    start = len(body) + len(meta) if at is None else at
    footer = handle(len(body), len(meta) - 5) + handle(start, len(last) - 5)
    return body + meta + last + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def table(entries: list[Entry], compressed: bool = False) -> bytes:
    body, index = b"", []
    for some in (entries[at : at + 4] for at in range(0, len(entries), 4)):
        contents = block(some)
        sealed = seal(squeeze(contents), 1) if compressed else seal(contents)
        index.append((some[-1][0], handle(len(body), len(sealed) - 5)))
        body += sealed
    return finish(body, index)


TYPES = {"float32": (1, 5), "int32": (3, 7), "int64": (9, 10), "bool": (10, 11)}
HEADER = integer(1, 1) + blob(3, integer(1, 1))


GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


def text(value: bytes) -> tuple[bytes, bytes]:
    """A string as it lies in a bundle, and what its checksum is of."""
    length = len(value).to_bytes(4, "little")
    end = masked_crc32c(length).to_bytes(4, "little") + value
    return number(len(value)) + end, length + end


def object_graph(names: dict[str, str]) -> bytes:
    """A `TrackableObjectGraph` in which every key is a variable's of a full name."""
    saved = (
        blob(2, blob(1, b"VARIABLE_VALUE") + blob(2, name.encode()) + blob(3, key.encode()))
        for key, name in names.items()
    )
    return blob(1, blob(1, integer(1, 1) + blob(2, b"model"))) + b"".join(blob(1, each) for each in saved)


def write_v2(
    path: Path, arrays: Arrays, edit: Callable[[Any], None] = lambda entry: None, header: bytes = HEADER
) -> Path:
    """Writes a bundle, of arrays and strings; `edit` changes the entry of 'b/flags', or that of an object graph."""
    data, entries = b"", [(b"", header)]
    for name, array in sorted(arrays.items()):
        if isinstance(array, bytes):
            raw, checked, kind, sizes = *text(array), 7, ()
        else:
            raw = checked = array.tobytes()
            kind, sizes = TYPES[str(array.dtype)][0], array.shape
        entry: Any = {"name": name.encode(), "type": kind, "shape": shape(*sizes)}
        entry |= {"shard": 0, "start": len(data), "size": len(raw), "crc": masked_crc32c(checked), "more": b""}
        if name in ("b/flags", GRAPH):
            edit(entry)
        message = integer(1, entry["type"]) + blob(2, entry["shape"]) + integer(3, entry["shard"])
        message += integer(4, entry["start"]) + integer(5, entry["size"]) + b"\x35" + entry["crc"].to_bytes(4, "little")
        entries.append((entry["name"], message + entry["more"]))
        data += entry.get("raw", raw)
    Path(f"{path}.index").write_bytes(table(entries))
    Path(f"{path}.data-00000-of-00001").write_bytes(data)
    return path


def write_v1(
    path: Path, arrays: Arrays, edit: Callable[[Any], None] = lambda entry: None, compressed: bool = False
) -> Path:
    """Writes a V1 file; `edit` changes what it holds of 'b/flags'."""
    meta, entries = b"", []
    for name, array in sorted(arrays.items()):
        kind, field = TYPES[str(array.dtype)]
        raw = array.tobytes() if kind == 1 else b"".join(number(int(value)) for value in array.flat)
        entry: Any = {
            "name": name,
            "saved": name,
            "shape": shape(*array.shape),
            "type": kind,
            "values": blob(field, raw),
        }
        entry |= {"slices": blob(4, blob(1, b"") * array.ndim), "key": name.encode(), "times": 1}
        if name == "b/flags":
            edit(entry)
        described = blob(1, entry["name"].encode()) + blob(2, entry["shape"]) + integer(3, entry["type"])
        meta += blob(1, described + entry["slices"]) * entry["times"]
        rank = bytes([1, array.ndim]) if array.ndim else b"\0"
        key = b"\0" + entry["key"] + b"\0\1" + rank + b"\x80\x7f" * array.ndim
        whole = blob(2, blob(1, b"") * array.ndim)
        entries.append((key, blob(2, blob(1, entry["saved"].encode()) + whole + blob(3, entry["values"]))))
    path.write_bytes(table([(b"", blob(1, meta + blob(2, integer(1, 1)))), *sorted(entries)], compressed))
    return path
