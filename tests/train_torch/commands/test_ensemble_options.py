"""Sizes of memory as people write them."""

import pytest

from shared.errors import UsageError
from train_torch.commands.ensemble_options import parse_memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2GB", 2 * 10**9),
        ("2gb", 2 * 10**9),
        ("1.5 GiB", 3 * 2**29),
        ("800M", 8 * 10**8),
        ("512MiB", 2**29),
        ("4k", 4000),
        ("123456", 123456),
        ("1T", 10**12),
    ],
)
def test_sizes(text: str, expected: int):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "2 apples", "-1GB", "1e9", "2GBB", "iB", "5i"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(UsageError, match="expected bytes such as 2GB"):
        parse_memory(text)
