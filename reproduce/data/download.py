"""Fetches the official binary archive of CIFAR-10; pooch checks its sum before anything reads it."""

import os
import sys
from pathlib import Path

from reproduce.data.archives import BINARY_MD5
from reproduce.errors import BadInput, Failure

ARCHIVE = "cifar-10-binary.tar.gz"
DEFAULT_URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
TIMEOUT_SECONDS = 30


def fetch_archive(folder: Path, md5: str = BINARY_MD5) -> Path:
    """Download the archive into `folder`, or find it there; a broken download begins again, twice at the most.

    The folder is for this alone: what an earlier, killed download has left in it is removed.

    The environment variable CIFAR10_URL names a mirror.

    Raises:
        Failure: the server cannot be reached or does not have the file.
        BadInput: what arrived has another sum.
    """
    # Only a download needs them, and every command would wait for them.
    import pooch
    import requests

    url = os.environ.get("CIFAR10_URL", DEFAULT_URL)
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT_SECONDS)
    pooch.get_logger().setLevel("ERROR")
    store = pooch.create(
        path=folder, base_url="", registry={ARCHIVE: f"md5:{md5}"}, urls={ARCHIVE: url}, retry_if_failed=2
    )
    for leftover in folder.glob("tmp*"):
        leftover.unlink()
    try:
        print(f"fetching {url} (170 MB)", flush=True)
        return Path(store.fetch(ARCHIVE, downloader=downloader))
    except requests.exceptions.RequestException as error:
        raise Failure(f"{url}: cannot be fetched: {type(error).__name__}; DATA=FILE uses a file of your own") from None
    except ValueError as error:
        # pooch's word for a sum that does not match; the file is gone already.
        raise BadInput(f"{url}: {next(iter(str(error).splitlines()))}") from None
