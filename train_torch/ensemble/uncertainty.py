"""Where the members disagree, as rows of a grey picture.

The map is no error bar: members trained alike err alike, so the true error is several times larger. It ranks pixels
(docs/fusion.md).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from train_torch.ensemble.fusion import Stack, disagreement

FACTOR = 4.0  # of the disagreement in the picture: white is a quarter of the range, 16 bits resolve 4e-6


def uncertainty_rows(stack: Stack, shares: Sequence[float]) -> NDArray[np.float32]:
    """Rows of the map: min(1, FACTOR · disagreement).

    Args:
        stack: (members, rows, w, 3), what `upscale_bands` tells `watch`.
        shares: of these members.

    Returns:
        float32 (rows, w, 3) in [0, 1], three equal channels.
    """
    grey = np.minimum(1, FACTOR * disagreement(stack, shares))
    return np.repeat(grey[..., None], 3, axis=2)
