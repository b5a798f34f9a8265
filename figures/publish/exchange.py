"""A folder of results that is replaced as a whole: whoever reads it sees the old one or the new one, never a part.

`manifest.json` names every file that was written. Files that it does not name are the user's, and stay.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from reproduce.errors import BadInput
from reproduce.files import only_one, read_at_most, write_json

MANIFEST = "manifest.json"
NEW, OLD = ".new-", ".old-"


@contextlib.contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """An empty folder beside `out`, to be filled; when it is, it takes the place of `out`.

    Whatever ends it on the way, a full disk or a kill, leaves `out` as it was. What a killed process left behind is
    removed, and an `out` that it had moved aside is moved back. Of several processes, one does this; the others wait.

    Raises:
        BadInput: `out` cannot be written to, or has a file of the user's under the name of a new one.
    """
    # A link stays, and the folder that it leads to is replaced.
    out = Path(os.path.realpath(out))
    with contextlib.ExitStack() as afterwards:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            afterwards.enter_context(only_one(out, "publishes into"))
            _recover(out)
            new = out.with_name(f".{out.name}{NEW}{secrets.token_hex(6)}")
            new.mkdir()
        except OSError as error:
            raise BadInput(f"{out}: expected a folder that can be written to: {error.strerror or error}") from None
        afterwards.callback(shutil.rmtree, new, ignore_errors=True)
        yield new
        written = _files(new)
        _keep_the_users_files(out, new, written)
        write_json(new / MANIFEST, written)
        old = out.with_name(f".{out.name}{OLD}{secrets.token_hex(6)}")
        if out.exists():
            out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)


def _recover(out: Path) -> None:
    """Undo what a process that was killed has left half done."""
    for path in _left_behind(out, OLD):
        if out.exists():
            shutil.rmtree(path)
        else:
            path.rename(out)
    for path in _left_behind(out, NEW):
        shutil.rmtree(path)


def _left_behind(out: Path, kind: str) -> list[Path]:
    ours = re.compile(re.escape(f".{out.name}{kind}") + "[0-9a-f]{12}")
    return sorted(path for path in out.parent.iterdir() if ours.fullmatch(path.name))


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _keep_the_users_files(out: Path, new: Path, written: list[str]) -> None:
    """Copy what the old folder has and its manifest does not name."""
    if not out.exists():
        return
    ours = {MANIFEST, *_manifest(out)}
    for name in _files(out):
        if name in ours:
            continue
        if name in written:
            raise BadInput(
                f"{out / name}: expected a file that `publish` wrote, or none; found one that {MANIFEST} does not "
                "name; move it away, or choose another folder with --out=DIR"
            )
        (new / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(out / name, new / name)


def _manifest(out: Path) -> list[str]:
    try:
        return list(json.loads(read_at_most(out / MANIFEST, 2**20)))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError):
        raise BadInput(
            f"{out / MANIFEST}: expected the list of files that `publish` wrote; found something else"
        ) from None
