"""Which code made a run, and what is said where it was another."""

import pytest

from reproduce.data.dataset import synthetic
from reproduce.profiles import Options
from reproduce.store import code_version, provenance, runs
from reproduce.study import Study
from reproduce.sweep.train_missing import train_missing
from tests.helpers.clusters import job
from tests.helpers.processes import ROOT, run_python
from tests.helpers.stored import provenance_of

# What a run loads and no number of it depends on; the images that it learns from have their own fingerprint.
DECIDES_NO_NUMBER = {
    *("cli", "data", "errors", "files", "signals", "text", "version"),
    *("store", "store.checkpoint", "store.code_version", "store.history", "store.provenance", "store.runs"),
}


@pytest.fixture
def trained(tmp_path):
    """A study of one run that is trained, and the run."""
    images = synthetic(40, 20)
    wanted, study = (
        job(images, epochs=1),
        Study(Options(data="synthetic", engine="chainer", results=str(tmp_path)), images),
    )
    train_missing([wanted], study)
    return study, wanted


def made_by(study, wanted, code):
    """The same run as one that other sources made."""
    folder = runs.run_folder(study.store, wanted.experiment)
    found = provenance_of(folder)
    if code is None:
        del found["code"]
    else:
        found["code"] = code
    found["checksum"] = provenance.checksum_of(found)
    history = runs.read_history(folder)
    for path in folder.iterdir():
        path.unlink()
    runs.keep_record(study.store, wanted.experiment, history, found)
    study.forget()
    return found


def test_a_run_says_which_code_made_it(trained):
    study, wanted = trained
    assert study.state(wanted.experiment).provenance["code"] == code_version.sources_digest()


def test_a_package_without_a_name_or_a_version_is_left_out(tmp_path, monkeypatch):
    """As a broken installation leaves them."""
    for name, says in (("empty", None), ("nameless", "Version: 1"), ("unversioned", "Name: unversioned"),
                       ("whole", "Name: whole\nVersion: 2")):  # fmt: skip
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        if says is not None:
            (folder / "METADATA").write_text(f"Metadata-Version: 2.1\n{says}\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = provenance._packages.__wrapped__()
    assert found["whole"] == "2"
    assert "chainer" in found
    assert not {None, "empty", "nameless", "unversioned"} & set(found)


def test_a_run_of_other_code_is_named_where_it_is_used_again(trained, capsys):
    study, wanted = trained
    train_missing([wanted], study)
    assert "another version" not in capsys.readouterr().out
    made_by(study, wanted, "0123456789ab")
    train_missing([wanted], study)
    lines = [line for line in capsys.readouterr().out.splitlines() if "another version of the code" in line]
    assert len(lines) == 1
    assert wanted.key in lines[0]
    # Runs of earlier versions of this package do not say.
    made_by(study, wanted, None)
    train_missing([wanted], study)
    assert "another version" not in capsys.readouterr().out


def test_runs_of_different_code_in_one_figure_are_warned_of(trained, tmp_path):
    study, wanted = trained
    one = study.state(wanted.experiment).provenance
    other = {**one, "code": "0123456789ab"}
    data = study.dataset.fingerprint
    found = provenance.summarize([(tmp_path / "a", one, data), (tmp_path / "b", other, data)])
    assert "The code that decides numbers differs between the runs." in found.warnings()
    assert not provenance.summarize([(tmp_path / "a", one, data)]).warnings()


def test_what_a_run_loads_is_in_the_digest_unless_no_number_depends_on_it():
    code = "import sys, reproduce.store.training_run; print(*sys.modules)"
    loaded = run_python("-c", code, cwd=ROOT).stdout.split()
    ours = {name.removeprefix("reproduce.") for name in loaded if name.startswith("reproduce.")}
    known = {name.removeprefix("reproduce/") for name in code_version.code_version()}
    digested = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in known}
    assert {name for name in ours - digested if not name.startswith("data.")} == DECIDES_NO_NUMBER


def test_the_digest_changes_with_any_source_that_decides_numbers(tmp_path, monkeypatch):
    before = code_version.sources_digest()
    for name in code_version.SOURCES:
        source = code_version.ROOT / name
        for path in source.rglob("*.py") if source.is_dir() else [source]:
            copy = tmp_path / path.relative_to(code_version.ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(code_version, "ROOT", tmp_path)

    def digest():
        code_version.code_version.cache_clear()
        code_version.sources_digest.cache_clear()
        return code_version.sources_digest()

    try:
        assert digest() == before
        for path in sorted(tmp_path.rglob("*.py")):
            content = path.read_bytes()
            path.write_bytes(content + b"\nx = 1\n")
            assert digest() != before, path
            path.write_bytes(content)
    finally:
        monkeypatch.undo()
        digest()
