"""The package and its dependencies. Chainer is built from source: README.md, 'Installing', says how."""

from pathlib import Path

from setuptools import find_packages, setup

CHAINER = "chainer==7.8.1"

setup(
    name="conv-nn-report",
    version="0.1.0",
    description="One course report on convolutional networks for CIFAR-10, reproduced in Chainer figure by figure",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["reproduce*", "figures*"]),
    package_data={"reproduce": ["analysis/report/*.csv"]},
    install_requires=[
        CHAINER,
        "numpy>=1.23",
        "scipy>=1.9",
        "h5py>=3.7",
        "matplotlib>=3.6",
        "numba>=0.57",
        "pooch>=1.8",
        "requests>=2.28",
        "tqdm>=4.60",
        "filelock>=3.10",
        "distributed>=2024.1",
        "psutil>=5.9",
        # The certificates of a local cluster.
        "cryptography>=41",
    ],
    extras_require={
        "test": ["pytest>=7.4", "hypothesis>=6.80", "ruff>=0.6", "threadpoolctl>=3.1"],
        "bench": ["torch>=2.1"],
        # `ctk` brings CUDA's libraries; the machine has to have NVIDIA's driver alone.
        "cuda12": ["cupy-cuda12x[ctk]>=12"],
        "cuda13": ["cupy-cuda13x[ctk]>=13.6"],
    },
)
