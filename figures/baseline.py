"""The settings that sections share."""

from typing import Any

from reproduce.pattern import ONE_BLOCK, THREE_BLOCKS, TWO_BLOCKS

# The report's baseline: its Conv_NN with batch normalization and max pooling under MomentumSGD (figure 9's baseline is
# figure 6's run of these settings, figure 10's 'before tuning' is the same run in figure 7). The report does not state
# its dropout ratio; the author's script has 0.25 (docs/settings.md).
BASELINE = {"optimizer": "MomentumSGD", "pooling": "max", "dropout": 0.25}

# Sections 1 and 2 do not state their optimizer. x3's curves are those of the baseline's. x1's and x2's fall far more
# slowly than under it: they are those of plain SGD (docs/settings.md, the question `shallow`). Its rate, and the
# momentum, are the profile's.
DEPTHS: dict[str, dict[str, Any]] = {
    "x1": {**BASELINE, "optimizer": "SGD", "dropout": 0.0, "blocks": ONE_BLOCK},
    "x2": {**BASELINE, "optimizer": "SGD", "dropout": 0.0, "blocks": TWO_BLOCKS},
    "x3": {**BASELINE, "dropout": 0.0, "blocks": THREE_BLOCKS},
}
# What their names stand for, in pictures.
DEPTHS_EXPLAINED = {"x1": "x1: one block of two convolutions", "x2": "x2: two blocks", "x3": "x3: three blocks"}
