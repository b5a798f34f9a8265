"""The settings that sections share."""

# The report's baseline: its Conv_NN with batch normalization and max pooling under MomentumSGD (figure 9's baseline is
# figure 6's run of these settings, figure 10's 'before tuning' is the same run in figure 7). The report does not state
# its dropout ratio; the author's script has 0.25 (docs/settings.md). The momentum is the profile's.
BASELINE = {"optimizer": "MomentumSGD", "pooling": "max", "dropout": 0.25}

# Sections 1 and 2 do not state their optimizer; the baseline's is taken.
BLOCKS = {"x1": ((2, 64),), "x2": ((2, 64), (2, 128)), "x3": ((2, 64), (2, 128), (2, 256))}
# What their names stand for, in pictures.
BLOCKS_EXPLAINED = {"x1": "x1: one block of two convolutions", "x2": "x2: two blocks", "x3": "x3: three blocks"}
X3 = {**BASELINE, "dropout": 0.0, "blocks": BLOCKS["x3"]}
