"""Arrays as the page reads them: one binary layout for values, colours, pixel maps and meshes."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MEDIA_TYPE = "application/octet-stream"


def pack(header: Mapping[str, object], arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    """The header's length (uint32), the header as JSON, then each array, all little-endian.

    The header's `arrays` says name, dtype and length of each; every part starts at a multiple of 4 bytes.
    """
    described = [{"name": name, "dtype": array.dtype.name, "length": int(array.size)} for name, array in arrays.items()]
    text = json.dumps({**header, "arrays": described}, separators=(",", ":"), allow_nan=False).encode()
    parts = [text + b" " * (-len(text) % 4)]
    for array in arrays.values():
        data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        parts.append(data + b"\0" * (-len(data) % 4))
    return len(parts[0]).to_bytes(4, "little") + b"".join(parts)


def unpack(packed: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of what `pack` made."""
    start = 4 + int.from_bytes(packed[:4], "little")
    header, arrays = json.loads(packed[4:start]), {}
    for part in header.pop("arrays"):
        dtype = np.dtype(part["dtype"]).newbyteorder("<")
        arrays[part["name"]] = np.frombuffer(packed, dtype, part["length"], start).astype(part["dtype"])
        start += -(-arrays[part["name"]].nbytes // 4) * 4
    return header, arrays
