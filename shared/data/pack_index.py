"""The index of a pack: all that is known about its pairs except pixels, as one JSON text; and the digests of the content."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A pair.

    Attributes:
        name: unique in the pack.
        split: "train" or "validation".
        lr_size: height and width of LR, px.
        bits: the larger bit depth of the two images.
        sha256: of the pixels.
        facts: what was measured, as JSON values.
    """

    name: str
    split: Split
    lr_size: tuple[int, int]
    bits: int
    sha256: str
    facts: Mapping[str, Any]


def write_index(entries: Iterable[Entry]) -> str:
    """The text. NaN and infinity are refused (ValueError): JSON has none."""
    return to_json([asdict(entry) for entry in entries])


def read_index(text: str) -> dict[str, Entry]:
    """Entries by name.

    Raises:
        ValueError, TypeError, KeyError: the text is not an index.
    """
    entries = [Entry(**fields | {"lr_size": tuple(fields["lr_size"])}) for fields in json.loads(text)]
    return {entry.name: entry for entry in entries}


def to_json(value: Any) -> str:
    """Compact JSON with sorted keys, finite numbers only."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)


def pixel_digest(*images: NDArray[Any]) -> str:
    """SHA-256 over dtype, shape and samples (rows, little-endian) of images, 64 hex digits."""
    digest = hashlib.sha256()
    for image in images:
        little = np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str}{little.shape}".encode())
        digest.update(little.data)
    return digest.hexdigest()


def content_digest(scale: int, pairs: Mapping[str, tuple[str, str]]) -> str:
    """SHA-256 over the scale and, sorted by name, name, split and pixel digest of the pairs, 64 hex digits."""
    content = [scale, [[name, *pairs[name]] for name in sorted(pairs)]]
    return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()
