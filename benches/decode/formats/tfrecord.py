"""TFRecord with tf.train.Example: ours beside the package `tfrecord`, and frames cut by hand with upb, protobuf's own parser."""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from benches.decode.agreement import Sums, of_records
from benches.decode.contestants import Contestant, Form, file_read, ours
from benches.decode.data import chunks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEAD = struct.Struct("<QI")
_CRC = struct.Struct("<I")
_KINDS = {"bytes_list": "BytesList", "float_list": "FloatList", "int64_list": "Int64List"}


@functools.cache
def example() -> Any:
    """Return the class of tf.train.Example, from a descriptor that is made here.

    Source: tensorflow/core/example/example.proto and feature.proto.
    """
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def message(parent: Any, name: str) -> Any:
        return parent.add(name=name)

    def field(of: Any, name: str, number: int, type_: int, *, many: bool = False, **more: Any) -> None:
        label = kind.LABEL_REPEATED if many else kind.LABEL_OPTIONAL
        of.field.add(name=name, number=number, type=type_, label=label, **more)

    values = {"BytesList": kind.TYPE_BYTES, "FloatList": kind.TYPE_FLOAT, "Int64List": kind.TYPE_INT64}
    for name, type_ in values.items():
        field(message(file.message_type, name), "value", 1, type_, many=True)
    feature = message(file.message_type, "Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, of) in enumerate(_KINDS.items(), 1):
        field(feature, name, number, kind.TYPE_MESSAGE, type_name=f".tensorflow.{of}", oneof_index=0)
    features = message(file.message_type, "Features")
    entry = message(features.nested_type, "FeatureEntry")
    entry.options.map_entry = True
    field(entry, "key", 1, kind.TYPE_STRING)
    field(entry, "value", 2, kind.TYPE_MESSAGE, type_name=".tensorflow.Feature")
    of_entries = ".tensorflow.Features.FeatureEntry"
    field(features, "feature", 1, kind.TYPE_MESSAGE, many=True, type_name=of_entries)
    whole = message(file.message_type, "Example")
    field(whole, "features", 1, kind.TYPE_MESSAGE, type_name=".tensorflow.Features")

    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tensorflow.Example"))


def _masked_crc(data: bytes) -> bytes:
    import crc32c

    crc = crc32c.crc32c(data)
    return _CRC.pack((((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _framed(data: bytes) -> bytes:
    length = len(data).to_bytes(8, "little")
    return length + _masked_crc(length) + data + _masked_crc(data)


def _write(path: Path, rows: int) -> None:
    with path.open("wb") as file:
        for chunk in chunks(rows):
            for number, label, features, text in zip(*chunk.values(), strict=True):
                message = example()()
                feature = message.features.feature
                feature["id"].int64_list.value.append(number)
                feature["label"].int64_list.value.append(label)
                feature["features"].float_list.value.extend(features)
                feature["text"].bytes_list.value.append(text.encode())
                file.write(_framed(message.SerializeToString()))


def _frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            yield file.read(_HEAD.unpack(head)[0])
            file.read(_CRC.size)


def _by_upb(path: Path) -> Iterator[dict[str, Any]]:
    parse = example().FromString
    for frame in _frames(path):
        feature = parse(frame).features.feature
        yield {
            "id": feature["id"].int64_list.value[0],
            "label": feature["label"].int64_list.value[0],
            "features": np.array(feature["features"].float_list.value, np.float32),
            "text": feature["text"].bytes_list.value[0],
        }


def _upb(path: Path, _: int) -> int:
    return sum(1 for _ in _by_upb(path))


def _package(path: Path, _: int) -> int:
    import tfrecord

    kinds = {"id": "int", "label": "int", "features": "float", "text": "byte"}
    return sum(1 for _ in tfrecord.tfrecord_loader(str(path), None, kinds))


def _frames_alone(path: Path, _: int) -> int:
    return sum(1 for _ in _frames(path))


def _witness(path: Path) -> Sums:
    return of_records(_by_upb(path))


FORMS = {
    "TFRecord": Form(
        "records.tfrecord",
        _write,
        {
            "nexa-data": ours("tfrecord"),
            "frames + upb": Contestant(_upb, threads=(1,)),
            "tfrecord": Contestant(_package, threads=(1,)),
            "frames cut in Python alone": Contestant(_frames_alone, "reference", (1,)),
            "file read": file_read(),
        },
        "tfrecord",
        _witness,
        part=4,
    )
}
