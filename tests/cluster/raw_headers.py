"""Records with headers whose names are any bytes, as other clients may write them: Python's takes text only."""

from __future__ import annotations

import ctypes
from pathlib import Path

import confluent_kafka

_TOPIC, _PARTITION, _VALUE, _COPY, _HEADER, _END = 1, 3, 4, 7, 9, 0  # enum rd_kafka_vtype_t
_COPIED = 2


def send(kafka: str, topic: str, partition: int, value: bytes, name: bytes) -> None:
    """Append one record with one header, through the C library that Python's client brings along."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka-*.so*"))))
    pointer = ctypes.c_void_p
    library.rd_kafka_conf_new.restype = library.rd_kafka_new.restype = pointer
    told = ctypes.create_string_buffer(512)
    config = pointer(library.rd_kafka_conf_new())
    assert library.rd_kafka_conf_set(config, b"bootstrap.servers", kafka.encode(), told, ctypes.c_size_t(512)) == 0
    producer = pointer(library.rd_kafka_new(0, config, told, ctypes.c_size_t(512)))
    assert producer.value, told.value
    number, size = ctypes.c_int, ctypes.c_ssize_t
    error = library.rd_kafka_producev(
        producer, number(_TOPIC), ctypes.c_char_p(topic.encode()), number(_PARTITION), ctypes.c_int32(partition),
        number(_VALUE), ctypes.c_char_p(value), size(len(value)), number(_COPY), number(_COPIED),
        number(_HEADER), ctypes.c_char_p(name), ctypes.c_char_p(b"x"), size(1), number(_END),
    )  # fmt: skip
    assert error == 0
    assert library.rd_kafka_flush(producer, 30_000) == 0
    library.rd_kafka_destroy(producer)
