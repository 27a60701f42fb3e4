"""The id of a data set: what it holds, not how its file was written."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
