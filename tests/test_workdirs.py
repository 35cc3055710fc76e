import pytest

from tfdeblur.errors import InputError
from tfdeblur.training import workdirs

SETTINGS = {"recipe": {"name": "quickstart", "batch_size": 8}, "seed": 0}


@pytest.fixture
def workdir(tmp_path):
    """A run with a checkpoint."""
    workdir = tmp_path / "run"
    workdirs.prepare(workdir, SETTINGS, overwrite=False)
    (workdir / "checkpoints").mkdir()
    (workdir / "checkpoints" / "step_000000001.npz").touch()
    return workdir


def test_a_run_is_refused_resumed_or_overwritten(workdir):
    with pytest.raises(InputError, match="holds a run already: --resume"):
        workdirs.check(workdir)
    (workdir / "checkpoints" / ".incomplete-step_000000002.npz").touch()
    for folder in (".incomplete-saved_model", ".saved_model.0f3a.tmp"):
        (workdir / folder / "variables").mkdir(parents=True)
        (workdir / folder / "variables" / ".incomplete-index").touch()
    workdirs.check(workdir, resume=True)
    workdirs.prepare(workdir, SETTINGS, overwrite=False)
    assert workdirs.holds_run(workdir) and not list(workdir.rglob(".*"))
    workdirs.prepare(workdir, SETTINGS, overwrite=True)
    assert [path.name for path in workdir.iterdir()] == ["recipe.json"]


def test_another_run_is_not_resumed(workdir):
    with pytest.raises(InputError, match=r"different are: seed \(0, now 1\)"):
        workdirs.prepare(workdir, {**SETTINGS, "seed": 1}, overwrite=False)


@pytest.mark.parametrize(
    "left",
    [
        [".incomplete-recipe.json"],
        ["recipe.json"],
        ["recipe.json", "metrics.csv", "checkpoints/.incomplete-step_000000001.npz"],
    ],
    ids=["while it began", "before its first step", "while it saved its first checkpoint"],
)
@pytest.mark.parametrize("resume", [False, True])
def test_what_a_kill_before_the_first_checkpoint_leaves_is_begun_again(left, resume, tmp_path):
    for name in left:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{")
    workdirs.check(tmp_path, resume)
    workdirs.prepare(tmp_path, SETTINGS, overwrite=False)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.json"]


def test_other_files_and_missing_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="holds files that are no run"):
        workdirs.check(tmp_path, overwrite=True)
    with pytest.raises(InputError, match=r"--workdir=.*thesis.tex cannot be made a folder"):
        workdirs.check(tmp_path / "thesis.tex")
    workdirs.check(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
