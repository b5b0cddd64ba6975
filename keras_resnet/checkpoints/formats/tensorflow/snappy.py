"""Data that Snappy compressed, taken apart. Imports no Keras.

Described in Snappy's format_description.txt; what is malformed is a `ValueError`.
"""

from keras_resnet.checkpoints.formats.tensorflow.protobuf import varint


def decompress(data: memoryview) -> bytearray:
    """Decompresses data in Snappy's raw format."""
    size, at = varint(data, 0)
    if 3 * size > 64 * (len(data) - at):  # no 3 bytes become more than 64, whatever they say
        raise ValueError(f"{len(data)} compressed bytes can't hold {size}")
    out = bytearray()
    while at < len(data):
        tag, at = data[at], at + 1
        length = (tag >> 2) + 1
        if tag & 3 == 0:
            if length > 60:
                length, at = _little(data, at, length - 60)
                length += 1
            if length > len(data) - at:
                raise ValueError("compressed data are cut off")
            out += data[at : at + length]
            at += length
        else:
            if tag & 3 == 1:
                length = (tag >> 2 & 7) + 4
                offset, at = _little(data, at, 1)
                offset |= tag >> 5 << 8
            else:
                offset, at = _little(data, at, 2 if tag & 3 == 2 else 4)
            if not 0 < offset <= len(out):
                raise ValueError("compressed data repeat what is not there")
            start = len(out) - offset
            out += (out[start : start + length] * (length // offset + 1))[:length]
    if len(out) != size:
        raise ValueError(f"compressed data are not the {size} bytes that they should be")
    return out


def _little(data: memoryview, at: int, size: int) -> tuple[int, int]:
    """A number of a fixed size, and where it ends."""
    if size > len(data) - at:
        raise ValueError("compressed data are cut off")
    return int.from_bytes(data[at : at + size], "little"), at + size
