import json
import os
import shutil

import pytest

from tfdeblur.errors import InputError
from tfdeblur.training import workdirs

SETTINGS = {"recipe": {"name": "quickstart", "batch_size": 8}, "seed": 0}
OLD = {**SETTINGS, "versions": "tfdeblur 0.1.0, keras 3.15.0"}  # of runs that have no list


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def tree(folder):
    """{path: content} of all files, and of folders None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def both(workdir, **options):
    workdirs.check(workdir, **options)
    workdirs.prepare(workdir, SETTINGS, options.get("overwrite", False))


OPTIONS = [{}, {"resume": True}, {"overwrite": True}]


@pytest.fixture
def workdir(tmp_path):
    """A run with a checkpoint."""
    workdir = tmp_path / "run"
    owned = workdirs.prepare(workdir, SETTINGS, overwrite=False)
    (workdir / "checkpoints").mkdir()
    owned.claim("checkpoints/step_000000001.npz")
    (workdir / "checkpoints" / "step_000000001.npz").touch()
    return workdir


def test_a_run_from_before_an_attribute_came_is_the_same_unless_it_has_it(workdir):
    later = {**SETTINGS, "recipe": {**SETTINGS["recipe"], "betas": [0.9, 0.9]}}
    with pytest.raises(InputError, match=r"different are: betas \(None, now \[0.9, 0.9\]\)"):
        workdirs.prepare(workdir, later, overwrite=False)
    nulls = {**OLD, "recipe": {**OLD["recipe"], "clip_norm": None}}
    (workdir / "recipe.json").write_text(json.dumps(nulls))
    workdirs.prepare(workdir, SETTINGS, overwrite=False)


def test_a_run_is_refused_resumed_or_overwritten(workdir):
    with pytest.raises(InputError, match="holds a run already: `resume=True`"):
        workdirs.check(workdir)
    (workdir / "checkpoints" / ".incomplete-step_000000002.npz").touch()
    for folder in (".incomplete-saved_model", ".incomplete-0123abcd-saved_model"):
        (workdir / folder / "variables").mkdir(parents=True)
        (workdir / folder / "variables" / "variables.index").touch()
    workdirs.check(workdir, resume=True)
    workdirs.prepare(workdir, SETTINGS, overwrite=False)
    assert workdirs.holds_run(workdir) and not list(workdir.rglob(".*"))
    workdirs.prepare(workdir, SETTINGS, overwrite=True)
    assert names(workdir) == ["recipe.json", "tfdeblur.json"]


def test_a_resume_with_other_versions_says_so(workdir, monkeypatch, capsys):
    workdirs.prepare(workdir, SETTINGS, overwrite=False)
    assert not capsys.readouterr().err
    now = workdirs.reports.versions() + " 2"
    monkeypatch.setattr(workdirs.reports, "versions", lambda: now)
    workdirs.prepare(workdir, SETTINGS, overwrite=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("This run was made with tfdeblur ") and f"goes on with {now}" in line


def test_what_a_recipe_says_of_itself_may_be_mended(workdir):
    mended = {**SETTINGS["recipe"], "remarks": "more", "published": [{"psnr": 30}]}
    workdirs.prepare(workdir, {**SETTINGS, "recipe": mended}, overwrite=False)


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
        (tmp_path / name).write_text(json.dumps(OLD) if name == "recipe.json" else "{")
    workdirs.check(tmp_path, resume)
    workdirs.prepare(tmp_path, SETTINGS, overwrite=False)
    assert names(tmp_path) == ["recipe.json", "tfdeblur.json"]


def test_other_files_and_missing_folders_are_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="holds files that are no run"):
        workdirs.check(tmp_path, overwrite=True)
    with pytest.raises(InputError, match=r"`workdir=.*thesis.tex` cannot be made a folder"):
        workdirs.check(tmp_path / "thesis.tex")
    workdirs.check(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def old_run(workdir):
    """As earlier versions left them: without a list."""
    for name in ("checkpoints/step_000000001.npz", "model.keras", "saved_model/saved_model.pb"):
        (workdir / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / name).write_text("ours")
    (workdir / "saved_model" / "assets").mkdir()
    (workdir / "recipe.json").write_text(json.dumps(OLD))


@pytest.mark.parametrize("overwrite", [False, True])
def test_runs_of_earlier_versions_are_resumed_or_overwritten(overwrite, tmp_path):
    old_run(tmp_path)
    before = tree(tmp_path)
    both(tmp_path, resume=not overwrite, overwrite=overwrite)
    if overwrite:
        assert names(tmp_path) == ["recipe.json", "tfdeblur.json"]
    else:
        assert before.keys() < tree(tmp_path).keys()
        both(tmp_path, overwrite=True)  # what it lists now can be deleted
        assert names(tmp_path) == ["recipe.json", "tfdeblur.json"]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    "recipe",
    ["", "{", "[]", "[" * 100_000, "null", '{"recipe": {"name": "soup"}}', "{}", "\xff\x00", None],
)
def test_a_folder_with_another_recipe_is_no_run_and_keeps_every_file(options, recipe, tmp_path):
    for name in (
        "thesis.tex",
        ".git/HEAD",
        "a/b/.x.tmp",
        "checkpoints/step_abc.npz",
        "model.keras",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("mine")
    if recipe is None:
        (tmp_path / "recipe.json").mkdir()
    else:
        (tmp_path / "recipe.json").write_text(recipe, encoding="latin-1")
    before = tree(tmp_path)
    for ask in (workdirs.check, workdirs.prepare):
        with pytest.raises(InputError, match=r"recipe\.json .*name another `workdir`"):
            ask(tmp_path, **(options if ask is workdirs.check else OVERWRITE))
    assert tree(tmp_path) == before


OVERWRITE = {"settings": SETTINGS, "overwrite": True}
MINE = [
    "thesis.tex",
    ".git/HEAD",
    "checkpoints/step_abc.npz",
    "checkpoints/step_000000007.npz",
    "saved_model/assets/words.txt",
    "a/b/.x.tmp",
    "a/.incomplete-recipe.json",
    ".incomplete-thesis",
    "tensorboard/events.out.tfevents.1.host.2.0.v2",
]


@pytest.mark.parametrize("name", MINE)
def test_a_run_is_not_overwritten_while_other_files_lie_in_it(name, workdir):
    (workdir / name).parent.mkdir(parents=True, exist_ok=True)
    (workdir / name).write_text("mine")
    before = tree(workdir)
    for ask, options in ((workdirs.check, {"overwrite": True}), (workdirs.prepare, OVERWRITE)):
        with pytest.raises(InputError, match="name another"):
            ask(workdir, **options)
    assert tree(workdir) == before


@pytest.mark.parametrize("name", [name for name in MINE if not name.startswith("saved")])
def test_a_resume_leaves_other_files(name, workdir):
    (workdir / name).parent.mkdir(parents=True, exist_ok=True)
    (workdir / name).write_text("mine")
    before = tree(workdir)
    both(workdir, resume=True)
    assert tree(workdir).keys() == before.keys() and (workdir / name).read_text() == "mine"


def test_a_linked_folder_is_not_emptied(workdir, tmp_path):
    shutil.move(workdir / "checkpoints", tmp_path / "elsewhere")
    (workdir / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="holds 'checkpoints'"):
        both(workdir, overwrite=True)
    assert names(tmp_path / "elsewhere") == ["step_000000001.npz"]


def test_a_home_is_never_removed(workdir, monkeypatch):
    monkeypatch.setenv("HOME", str(workdir))
    before = tree(workdir)
    with pytest.raises(InputError, match="is your home folder"):
        both(workdir, overwrite=True)
    assert tree(workdir) == before


@pytest.mark.parametrize("damage", ["{", "", None])
def test_a_damaged_recipe_of_a_run_is_an_error(damage, workdir):
    if damage is None:
        os.remove(workdir / "recipe.json")
    else:
        (workdir / "recipe.json").write_text(damage)
    before = tree(workdir)
    with pytest.raises(InputError, match=r"recipe\.json is broken .*: put a copy of it back"):
        workdirs.check(workdir, resume=True)
    assert tree(workdir) == before
    both(workdir, overwrite=True)


@pytest.mark.parametrize("path", ["../thesis.tex", "/etc/passwd", "thesis.tex", 3])
def test_a_list_that_names_other_files_is_refused(path, workdir):
    marker = json.loads((workdir / "tfdeblur.json").read_text())
    marker["files"].append(path)
    (workdir / "tfdeblur.json").write_text(json.dumps(marker))
    before = tree(workdir.parent)
    with pytest.raises(InputError, match="lists what no run has"):
        both(workdir, overwrite=True)
    assert tree(workdir.parent) == before
