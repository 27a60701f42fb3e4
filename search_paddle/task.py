"""What stays the same during a whole search: data, space and settings; and whether these fit each other."""

import time
from dataclasses import dataclass
from pathlib import Path

from search_paddle.config import SearchConfig
from search_paddle.space import one_of_each_family
from shared.data.pack import Pack
from shared.data.sampler import PatchSampler
from shared.errors import SpecError, UsageError
from shared.records.journal import JournalHeader
from shared.records.search_facts import SearchFacts
from shared.space import SearchSpace
from shared.spec import software


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A search: what is searched on which data.

    Attributes:
        pack: path of the data.
        out: run folder.
        space: what is searched.
        data_sha256: content id of the pack.
        config: settings of the search.
        bicubic: score of bicubic upscaling, dB.
        started: monotonic time at which the search began, or would have begun without its pauses, s.
    """

    pack: Path
    out: Path
    space: SearchSpace
    data_sha256: str
    config: SearchConfig
    bicubic: float
    started: float

    @property
    def elapsed(self) -> float:
        """Wall time of the search, earlier runs included, s."""
        return time.monotonic() - self.started

    def facts(self) -> SearchFacts:
        """The content of run.json."""
        return SearchFacts(
            pack=str(self.pack),
            data_sha256=self.data_sha256,
            space=self.space.to_dict(),
            space_sha256=self.space.sha256,
            config=self.config.model_dump(),
            bicubic=self.bicubic,
            software=software(),
        )


def check(pack: Path, space: SearchSpace, config: SearchConfig) -> JournalHeader:
    """Refuse what cannot work before the first training.

    Args:
        pack: HDF5 pack.
        space: what to search.
        config: settings.

    Returns:
        What must be equal when the search is continued.

    Raises:
        UsageError: the proxy's crop is too small for its loss or too large for a pair, a split is empty, a family has no point
            that is an architecture, or the space is of another scale than the pack.
    """
    with Pack(pack) as data:
        scale, data_sha256 = data.scale, data.sha256
        config.proxy.check_scale(scale)
        PatchSampler(data, split="train", patch=config.proxy.patch, batch=config.proxy.batch, seed=config.seed)
        if not data.pairs("validation"):
            raise UsageError(
                f"{pack}: got no validation pair, expected at least one to score on; prepare with another split"
            )
    for spec in one_of_each_family(space):
        if spec.scale != scale:
            raise SpecError(
                f"search space: got scale {spec.scale}, expected {scale} as in {pack}; change the space's constant"
            )
    return JournalHeader(config=config.identity(), space_sha256=space.sha256, data_sha256=data_sha256)
