"""The shard a DFSP lives in, by Kafka's default partitioner: any Kafka client keyed by DFSP id lands right."""

from __future__ import annotations

_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 (org.apache.kafka.common.utils.Utils.murmur2) as an unsigned int."""
    length = len(data)
    h = 0x9747B28C ^ length
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _MASK
        k ^= k >> 24
        h = (h * _M & _MASK) ^ (k * _M & _MASK)
    if length > whole:
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h ^= h >> 13
    h = h * _M & _MASK
    return h ^ (h >> 15)


def partition_of(dfsp: str, partitions: int) -> int:
    """The partition (shard) of all accounts of `dfsp` among `partitions`."""
    return (murmur2(dfsp.encode("utf-8", "surrogatepass")) & 0x7FFFFFFF) % partitions
