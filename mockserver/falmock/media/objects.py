"""Makes small files of other kinds: meshes, weights and archives."""

from __future__ import annotations

import colorsys
import json
import math
import random
import struct
import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from falmock.media.specifications import Mesh, Weights

Vertex = tuple[float, float, float]

_GOLDEN: Final = (1 + math.sqrt(5)) / 2
_LENGTH: Final = math.hypot(1, _GOLDEN)
_CORNERS: Final = [(x / _LENGTH, y / _LENGTH) for y in (_GOLDEN, -_GOLDEN) for x in (-1, 1)]
_VERTICES: Final[list[Vertex]] = [
    *((x, y, 0.0) for x, y in _CORNERS),
    *((0.0, x, y) for x, y in _CORNERS),
    *((y, 0.0, x) for x, y in _CORNERS),
]
_FACES: Final = (  # counterclockwise from outside, as numbers of vertices
    *((0, 11, 5), (0, 5, 1), (0, 1, 7), (0, 7, 10), (0, 10, 11)),
    *((1, 5, 9), (5, 11, 4), (11, 10, 2), (10, 7, 6), (7, 1, 8)),
    *((3, 9, 4), (3, 4, 2), (3, 2, 6), (3, 6, 8), (3, 8, 9)),
    *((4, 9, 5), (2, 4, 11), (6, 2, 10), (8, 6, 7), (9, 8, 1)),
)
_GOLDEN_ANGLE: Final = 137  # degrees, as for backdrops
_FLOAT, _SHORT = 5126, 5123  # numbers of glTF for types
_VERTICES_TARGET, _INDICES_TARGET = 34962, 34963


def mesh(wanted: Mesh) -> bytes:
    """Make an icosahedron with radius 1."""
    makers = {"glb": _glb, "obj": _obj, "stl": _stl, "ply": _ply}
    return makers[wanted.format](wanted.seed)


def weights(wanted: Weights) -> bytes:
    """Make the two matrices of a LoRA, in half precision."""
    rng = random.Random(wanted.seed)  # noqa: S311 - no secrets
    width = 16
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, rows, columns in (("A", wanted.rank, width), ("B", width, wanted.rank)):
        numbers = [rng.gauss(0, 0.02) for _ in range(rows * columns)]
        packed = struct.pack(f"<{len(numbers)}e", *numbers)
        header[f"transformer.transformer_blocks.0.attn.to_q.lora_{name}.weight"] = {
            "dtype": "F16",
            "shape": [rows, columns],
            "data_offsets": [len(data), len(data) + len(packed)],
        }
        data += packed
    text = _padded(json.dumps(header, separators=(",", ":")).encode(), 8, b" ")
    return struct.pack("<Q", len(text)) + text + data


def archive(members: Mapping[str, bytes]) -> bytes:
    """Make a zip that depends on names and contents only. Media are compressed already."""
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name), data)
    return whole.getvalue()


def _normal(face: tuple[int, int, int]) -> Vertex:
    """Return the direction that a face looks in; the centre of the mesh is the origin."""
    corners = [_VERTICES[index] for index in face]
    x, y, z = (sum(axis) for axis in zip(*corners, strict=True))
    length = math.hypot(x, y, z)
    return x / length, y / length, z / length


def _glb(seed: int) -> bytes:
    points = b"".join(struct.pack("<3f", *vertex) for vertex in _VERTICES)  # of length 1, so also the normals
    indices = b"".join(struct.pack("<3H", *face) for face in _FACES)
    size = len(points)
    look = {"baseColorFactor": [*_colour(seed), 1], "metallicFactor": 0, "roughnessFactor": 0.6}
    axes = list(zip(*_VERTICES, strict=True))
    extremes = {"max": [_single(max(axis)) for axis in axes], "min": [_single(min(axis)) for axis in axes]}
    shape = {"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}
    points_of = {"bufferView": 0, "componentType": _FLOAT, "count": len(_VERTICES), "type": "VEC3"}
    document = {
        "asset": {"version": "2.0", "generator": "falmock"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "placeholder"}],
        "meshes": [{"primitives": [shape]}],
        "materials": [{"name": "placeholder", "pbrMetallicRoughness": look}],
        "accessors": [
            points_of | extremes,
            points_of,
            {"bufferView": 1, "componentType": _SHORT, "count": 3 * len(_FACES), "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": size, "target": _VERTICES_TARGET},
            {"buffer": 0, "byteOffset": size, "byteLength": len(indices), "target": _INDICES_TARGET},
        ],
        "buffers": [{"byteLength": size + len(indices)}],
    }
    text = _padded(json.dumps(document, separators=(",", ":")).encode(), 4, b" ")
    data = _padded(points + indices, 4, b"\0")
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _obj(seed: int) -> bytes:
    del seed  # its colour would need a second file
    lines = ["# placeholder", "o placeholder"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in _VERTICES]
    lines += ["f {} {} {}".format(*(index + 1 for index in face)) for face in _FACES]
    return "\n".join([*lines, ""]).encode()


def _stl(seed: int) -> bytes:
    del seed
    triangles = (
        struct.pack("<12fH", *_normal(face), *(axis for index in face for axis in _VERTICES[index]), 0)
        for face in _FACES
    )
    return b"placeholder".ljust(80) + struct.pack("<I", len(_FACES)) + b"".join(triangles)


def _ply(seed: int) -> bytes:
    colour = [round(255 * part) for part in _colour(seed)]
    lines = ["ply", "format ascii 1.0", "comment placeholder", f"element vertex {len(_VERTICES)}"]
    lines += [f"property float {axis}" for axis in "xyz"]
    lines += [f"property uchar {part}" for part in ("red", "green", "blue")]
    lines += [f"element face {len(_FACES)}", "property list uchar int vertex_indices", "end_header"]
    lines += ["{:.6f} {:.6f} {:.6f} {} {} {}".format(*vertex, *colour) for vertex in _VERTICES]
    lines += ["3 {} {} {}".format(*face) for face in _FACES]
    return "\n".join([*lines, ""]).encode()


def _colour(seed: int) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(seed * _GOLDEN_ANGLE % 360 / 360, 0.6, 0.85)


def _padded(data: bytes, step: int, filler: bytes) -> bytes:
    return data + filler * (-len(data) % step)


def _single(value: float) -> float:
    """Round to single precision, in which the vertices are stored."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
