"""Write the golden files beside this script with the formats' own tools; README.md says with which versions."""

import importlib.util
import io
import sys
import tarfile
import types
from decimal import Decimal
from pathlib import Path

import numpy as np
import tfrecord
import webdataset

# The writer needs none of what the packages around it import (torch, torchvision, transformers).
for name in ["streaming", "streaming.base"]:
    shell = types.ModuleType(name)
    shell.__path__ = list(importlib.util.find_spec(name).submodule_search_locations)
    sys.modules[name] = shell
from streaming.base.format.mds.writer import MDSWriter  # noqa: E402

HERE = Path(__file__).parent
ROWS = 5


def write_npy() -> None:
    """Write numbers, a tensor, and a structure."""
    np.save(HERE / "matrix.npy", np.arange(12, dtype=">f4").reshape(4, 3))
    fields = np.zeros(3, dtype=[("id", "<i4"), ("name", "<U3"), ("v", "<f8", (2,))])
    fields["id"], fields["name"], fields["v"][1] = [1, 2, 3], ["a", "bé", ""], [0.5, 1.5]
    np.save(HERE / "fields.npy", fields)


def write_tfrecord() -> None:
    """Write scalars, a vector, and a list that is sometimes empty."""
    writer = tfrecord.TFRecordWriter(str(HERE / "a.tfrecord"))
    for row in range(ROWS):
        writer.write(
            {
                "id": (row, "int"),
                "image": (bytes([row] * 3), "byte"),
                "vector": ([row + 0.5, -row], "float"),
                "tags": (list(range(row)), "int"),
            }
        )
    writer.close()


def write_webdataset() -> None:
    """Write samples of text, a class, JSON, bytes and an array, one with a long name."""
    with webdataset.TarWriter(str(HERE / "a.tar"), mtime=0) as writer:
        for row in range(ROWS):
            key = f"folder/{row:04}" if row else "folder/" + "long" * 40
            writer.write(
                {
                    "__key__": key,
                    "txt": f"text é {row}",
                    "cls": row,
                    "json": {"row": row},
                    "seg.png": bytes([row]),
                    "npy": np.full((2, 3), row, dtype=np.float32),
                }
            )
    with tarfile.open(HERE / "pax.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        for row in range(ROWS):
            member = tarfile.TarInfo(f"é{row}{'x' * 120}.bin")
            member.size = row
            archive.addfile(member, io.BytesIO(b"z" * row))


def write_mds() -> None:
    """Write every encoding that needs no image library, plain and packed."""
    columns = {
        "b": "bytes",
        "dec": "str_decimal",
        "f": "float32",
        "i": "int",
        "j": "json",
        "s": "str",
        "si": "str_int",
        "sf": "str_float",
        "v": "ndarray:float32",
        "t": "ndarray:int16:2,3",
        "u": "uint8",
    }
    for name, compression in [("mds", None), ("mds-zstd", "zstd:3")]:
        with MDSWriter(out=str(HERE / name), columns=columns, compression=compression) as writer:
            for row in range(ROWS):
                writer.write(
                    {
                        "b": bytes([row] * row),
                        "dec": Decimal(f"{row}.25"),
                        "f": np.float32(row + 0.5),
                        "i": row - 2,
                        "j": {"row": row},
                        "s": f"é{row}",
                        "si": 10**row,
                        "sf": row / 4,
                        "v": np.arange(row + 1, dtype=np.float32),
                        "t": np.full((2, 3), row, dtype=np.int16),
                        "u": np.uint8(row),
                    }
                )


if __name__ == "__main__":
    write_npy()
    write_tfrecord()
    write_webdataset()
    write_mds()
