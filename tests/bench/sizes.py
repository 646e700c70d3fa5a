"""How much is measured: three sizes."""

import dataclasses

MIB = 1 << 20
GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Size:
    big: int  # bytes of the large file
    files: int  # of 4 KiB, and in the listed folder
    reads: int  # of 4 KiB at random
    pending: int  # uploads in the journal
    rounds: int
    touched: int  # bytes of memory that are used before what is timed
    patience: float  # a peer that took longer (seconds) is not asked again
    delays: tuple  # ms a round trip
    grow_bytes: tuple
    grow_entries: tuple
    grow_parallel: tuple
    grow_piece: int  # bytes that each of the parallel writers writes


SIZES = {
    "smallest": Size(MIB, 10, 20, 20, 1, 0, 60, (0, 5), (MIB,), (10,), (1, 2), MIB),
    "normal": Size(GIB, 1000, 1000, 10000, 3, 4 * GIB, 12, (0, 20), (MIB, 16 * MIB, 256 * MIB), (10, 1000, 10000),
                   (1, 4, 16), 16 * MIB),
    "full": Size(GIB, 1000, 1000, 10000, 5, 4 * GIB, 200, (0, 20), (MIB, 16 * MIB, 256 * MIB, GIB, 4 * GIB),
                 (10, 100, 1000, 10000, 100000), (1, 2, 4, 8, 16, 32, 64), 64 * MIB),
}
