"""The package and its dependencies. Chainer is built from source: docs/installing.md says how."""

import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

CHAINER = "chainer==7.8.1"
STARTUP = "conv_nn_report_startup"
VERSION = re.search(r'^VERSION = "(.+)"$', Path("reproduce/version.py").read_text(), re.MULTILINE)[1]
PUBLISHED = sorted(folder for folder in Path("docs/results").glob("*") if folder.is_dir())


class BuildWithStartup(build_py):
    """Also installs what lets `import chainer` come first in any Python of the environment: see reproduce/compat.py."""

    def run(self):
        super().run()
        # `pip install -e` takes no modules from here, and yet all files that lie where it would install.
        folder = self.get_finalized_command("install").install_lib if self.editable_mode else self.build_lib
        self.mkpath(folder)
        self.copy_file("reproduce/compat.py", f"{folder}/{STARTUP}.py")
        Path(folder, f"{STARTUP}.pth").write_text(
            f"import sys, {STARTUP}; sys.meta_path.insert(0, {STARTUP}.ChainerFinder)\n"
        )

    def get_outputs(self, include_bytecode=1):
        return [*super().get_outputs(include_bytecode), *(f"{self.build_lib}/{STARTUP}.{end}" for end in ("py", "pth"))]


setup(
    name="conv-nn-report",
    version=VERSION,
    description="One course report on convolutional networks for CIFAR-10, reproduced in Chainer figure by figure",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # With this, `pip install -e` puts this folder on the path, which costs a start of Python nothing.
    package_dir={"": "."},
    packages=find_packages(include=["reproduce*", "figures*"]),
    cmdclass={"build_py": BuildWithStartup},
    package_data={"": ["*/*.csv", "*.css"]},
    # What the published figures, claims and comparisons were made from, for whoever has the wheel alone.
    data_files=[
        (f"share/conv-nn-report/{folder.name}", sorted(map(str, folder.glob("*.csv")))) for folder in PUBLISHED
    ],
    install_requires=[
        CHAINER,
        "numpy>=1.23",
        "scipy>=1.9",
        "h5py>=3.9",
        "matplotlib>=3.6",
        "pillow>=9.1",
        "numba>=0.57",
        "requests>=2.28",
        "tqdm>=4.60",
        "filelock>=3.10",
        "distributed>=2024.1",
        "psutil>=5.9",
        # The certificates of a local cluster.
        "cryptography>=41",
    ],
    extras_require={
        "test": [
            "pytest>=7.4",
            "hypothesis>=6.80",
            "ruff>=0.6",
            "mypy>=1.11",
            "codespell>=2.3",
            "threadpoolctl>=3.1",
            "nbclient>=0.10",
            "ipykernel>=6.29",
            "axe-core-python>=0.1",
        ],
        "bench": ["torch>=2.1"],
        # `ctk` brings CUDA's libraries, but for cuDNN; the machine has to have NVIDIA's driver alone.
        "cuda12": ["cupy-cuda12x[ctk]>=12", "nvidia-cudnn-cu12>=9,<10"],
        "cuda13": ["cupy-cuda13x[ctk]>=13.6", "nvidia-cudnn-cu13>=9,<10"],
    },
)
