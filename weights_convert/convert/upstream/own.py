"""Our own names, of every family: a file by this project carries its spec; another one needs `--spec`."""

from shared.errors import WeightsError
from shared.network.architecture import ArchSpec
from shared.network.families import FAMILIES
from weights_convert.convert.upstream.upstream import Arrays, Upstream, flat


def infer(arrays: Arrays) -> ArchSpec:
    """Nothing can be told: fields of the DRN of the paper, for one, leave no trace in shapes."""
    names = ", ".join(list(arrays)[:4])
    raise WeightsError(
        f"the network cannot be told from its names ({names} …): no project that is known here has such names. "
        "Say what it is with --spec SPEC"
    )


UPSTREAM = Upstream(
    name="gpnas-sr",
    source="",
    keys="own",
    families=tuple(family.name for family in FAMILIES),
    recognises=lambda source: True,
    infer=infer,
    parcels=lambda arrays, spec: flat(arrays),
    convention="RGB, 0 to 1 in and out",
)
