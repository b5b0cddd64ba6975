"""CRC-32C, the checksum of TensorFlow's files, at the speed of a disk. Imports no Keras.

The polynomial is Castagnoli's (RFC 3720), the mask that of LevelDB's table_format.md.
"""

from functools import cache
from typing import Any

import numpy as np

_POLYNOMIAL = 0x82F63B78  # its bits reversed, as those of every byte are
_LANES = (4096, 64)

Words = np.ndarray[Any, np.dtype[np.uint32]]


def crc32c(data: Any) -> int:
    """Computes the CRC-32C of bytes, or of an array of uint8; with google-crc32c where that is installed."""
    try:
        import google_crc32c
    except ImportError:
        return of_lanes(data)
    return int(google_crc32c.value(np.frombuffer(data, np.uint8)))


def of_lanes(data: Any) -> int:
    """Computes the same with NumPy."""
    return _update(0xFFFFFFFF, memoryview(data)) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Masks a checksum as it is stored beside the data that it is of."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _update(register: int, data: memoryview) -> int:
    """The register after some more bytes.

    Many are laid in rows of words. From one row to the next all lanes advance at once, each as if the row that it
    leaves had been zeros; what is in the lanes in the end is a shorter message with the same remainder.
    """
    for lanes in _LANES:
        if len(data) > 4 * lanes:
            head = len(data) % (4 * lanes)
            state = np.zeros(lanes, np.uint32)
            state[0] = _update(register, data[:head])
            low, high = _advance(32 * lanes)
            rows = np.frombuffer(data[head:], "<u4").reshape(-1, lanes)
            state ^= rows[0]
            for row in rows[1:]:
                state = low.take(state & 0xFFFF) ^ high.take(state >> 16) ^ row
            return _update(0, memoryview(state.astype("<u4").tobytes()))
    table = _bytes()
    for byte in data:
        register = table[(register ^ byte) & 0xFF] ^ register >> 8
    return register


@cache
def _bytes() -> list[int]:
    """What each byte becomes when it leaves the register."""
    return [int(word) for word in _advance(8)[0][:256]]


@cache
def _advance(bits: int) -> tuple[Words, Words]:
    """What the low and the high half of a register become after zeros, of a number of bits that is a power of two."""
    images = np.array([_POLYNOMIAL, *(1 << bit for bit in range(31))], np.uint32)  # of each bit, after one
    for _ in range(bits.bit_length() - 1):
        low, high = _span(images[:16]), _span(images[16:])
        images = low[images & 0xFFFF] ^ high[images >> 16]
    return _span(images[:16]), _span(images[16:])


def _span(images: Words) -> Words:
    """The image of every number whose bits have these images."""
    table = np.zeros(1, np.uint32)
    for image in images:
        table = np.concatenate([table, table ^ image])
    return table
