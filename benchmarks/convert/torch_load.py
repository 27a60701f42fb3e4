"""The reader that was tried and not taken: `torch.load(weights_only=True)` in the same worker, for fuzz.py and hostile.py."""

import io
import zipfile
from typing import Any

import torch

from shared.errors import WeightsError
from weights_convert.convert.foreign.torch_file import Storage, Tensor
from weights_convert.convert.foreign.unpickler import Array, Ordered
from weights_convert.convert.foreign.worker import READERS, pack


def decode_bare(file_format: str, data: bytes) -> bytes:
    """The answer for a file by torch.load alone."""
    if not file_format.startswith("torch"):
        return pack(READERS[file_format](data), file_format, len(data))
    return _packed(data, data, file_format)


def decode_checked(file_format: str, data: bytes) -> bytes:
    """The same after the zip file was checked (no compression, right checksums) and written anew, without its oddities."""
    if file_format != "torch zip":
        return decode_bare(file_format, data)
    clean = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(clean, "w") as copy:
        infos = archive.infolist()
        names = {info.filename for info in infos}
        if len(names) != len(infos) or any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise WeightsError("compressed records, or two of one name")
        if sum(info.file_size for info in infos) > len(data) or archive.testzip() is not None:
            raise WeightsError("records that claim more than the file has, or wrong checksums")
        for name in names:
            copy.writestr(name, archive.read(name))
    return _packed(clean.getvalue(), data, file_format)


def _packed(content: bytes, data: bytes, file_format: str) -> bytes:
    stream = io.BytesIO(content)
    tree = torch.load(stream, weights_only=True, map_location="cpu")
    if file_format == "torch legacy" and stream.tell() != len(content):
        raise WeightsError("bytes behind the last storage")
    return pack(_plain(tree), file_format, len(data))


def _plain(tree: Any) -> Any:
    """The upper two floors of the value, tensors as our arrays."""
    if isinstance(tree, list):
        return [_mapping(value) for value in tree]
    return _mapping({key: _mapping(value) for key, value in dict.items(tree)}) if isinstance(tree, dict) else tree


def _mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = Ordered((key, _array(entry)) for key, entry in dict.items(value))
    found.attributes = getattr(value, "__dict__", None)
    return found


def _array(value: Any) -> Any:
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        return value
    if value.layout is not torch.strided or value.device.type != "cpu" or value.is_quantized or value.is_neg():
        raise WeightsError("a tensor that is sparse, quantised, negated or on no CPU")
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise WeightsError("an expanded view")
    values = value.detach().contiguous()
    if values.dtype is torch.bfloat16:
        bits = values.view(torch.int16).numpy().tobytes()
        return Tensor(Storage("bfloat16", values.numel(), bits), 0, list(values.shape), list(values.stride()))
    return Array(values.numpy())
