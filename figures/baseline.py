"""The settings that sections share."""

# The report's baseline: its Conv_NN with batch normalization and max pooling under MomentumSGD (figure 9's baseline is
# figure 6's run of these settings, figure 10's 'before tuning' is the same run in figure 7). Its ratio is not stated:
# its train error (13.5 % at epoch 15) lies between figure 4's curves without dropout (3.3 %) and with 0.3 (15.6 %).
# Nor is its momentum, which is the profile's.
BASELINE = {"optimizer": "MomentumSGD", "pooling": "max", "dropout": 0.25}

# Sections 1 and 2 do not state their optimizer; the baseline's is taken.
BLOCKS = {"x1": ((2, 64),), "x2": ((2, 64), (2, 128)), "x3": ((2, 64), (2, 128), (2, 256))}
