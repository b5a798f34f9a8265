"""The report's pattern of layers: its numbers, their limits, and the network of section 8 in it."""

from reproduce.errors import BadInput

IMAGE_CHANNELS, IMAGE_SIZE, CLASSES = 3, 32, 10
HIDDEN_UNITS = 500
# The report allows 0 <= N <= 3 convolutions a block, and then puts four into its last (docs/errata.md).
MAXIMUM_CONVOLUTIONS = 4
REPORT_BLOCKS = ((2, 64), (2, 128), (4, 256))
# The networks of sections 1 and 2: x1, x2 and x3.
ONE_BLOCK, TWO_BLOCKS, THREE_BLOCKS = ((2, 64),), ((2, 64), (2, 128)), ((2, 64), (2, 128), (2, 256))
# The first three blocks of table 1's column A.
COLUMN_A = ((1, 64), (1, 128), (2, 256))
POOLING = ("max", "average", "none")
# Limits of ours: the report sets none to these.
LARGEST_FILTER = IMAGE_SIZE - 1
MOST_BLOCKS_WITHOUT_POOLING = 32
MOST_CHANNELS = 4096
MOST_DROPOUT = 0.99
LARGEST_WIDTH = 16
MOST_FULLY_CONNECTED_LAYERS = 16


def check_pattern(
    blocks: tuple[tuple[int, int], ...],
    filter_size: int,
    pooling: str,
    dropout: float,
    width: float,
    fully_connected_layers: int,
) -> None:
    """Check the report's INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC, and the numbers in it.

    Raises:
        BadInput: says which number is out of range, and what the range is.
    """
    for number, block in enumerate(blocks, start=1):
        is_pair = isinstance(block, (tuple, list)) and len(block) == 2
        if not is_pair or not all(isinstance(value, int) for value in block):
            raise BadInput(f"block {number} must be (convolutions, channels), two whole numbers; found {block!r}")
        convolutions, channels = block
        if not 0 <= convolutions <= MAXIMUM_CONVOLUTIONS:
            raise BadInput(
                f"N, the convolutions in block {number}, must be 0 to {MAXIMUM_CONVOLUTIONS}; found {convolutions}"
            )
        if not 1 <= channels <= MOST_CHANNELS:
            raise BadInput(f"the channels of block {number} must be 1 to {MOST_CHANNELS}; found {channels}")
    if pooling not in POOLING:
        raise BadInput(f"pooling must be one of {', '.join(POOLING)}; found {pooling!r}")
    most_blocks, reason = MOST_BLOCKS_WITHOUT_POOLING, ""
    if pooling != "none":
        most_blocks, reason = IMAGE_SIZE.bit_length() - 1, f", since each pooling halves {IMAGE_SIZE} pixels"
    if len(blocks) > most_blocks:
        raise BadInput(f"M, the number of blocks, must be 0 to {most_blocks}{reason}; found {len(blocks)}")
    if not (isinstance(filter_size, int) and filter_size % 2 == 1 and 1 <= filter_size <= LARGEST_FILTER):
        raise BadInput(
            f"filter_size must be odd, from 1 to {LARGEST_FILTER}, so that padding keeps the image's "
            f"size; found {filter_size!r}"
        )
    if not 0 <= dropout <= MOST_DROPOUT:
        raise BadInput(f"dropout, the ratio of values dropped, must be 0 to {MOST_DROPOUT}; found {dropout!r}")
    if not 0 < width <= LARGEST_WIDTH:
        raise BadInput(f"width must be above 0 and at most {LARGEST_WIDTH}; found {width!r}")
    if not 1 <= fully_connected_layers <= MOST_FULLY_CONNECTED_LAYERS:
        raise BadInput(
            f"K + 1, the fully connected layers, must be 1 to {MOST_FULLY_CONNECTED_LAYERS}; "
            f"found {fully_connected_layers}"
        )


def scaled(units: int, width: float) -> int:
    """`units` channels or hidden units at a width factor; at least 1."""
    return max(1, round(units * width))
