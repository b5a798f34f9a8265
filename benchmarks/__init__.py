"""Speed of the engine against stock Chainer and PyTorch: `python -m benchmarks`."""
