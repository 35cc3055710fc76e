"""Which blurry image belongs to which sharp one."""

import numpy as np
import pytest

from tfdeblur.errors import InputError
from tfdeblur.io import images, pairing

IMAGE = np.zeros((7, 5, 3), np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Two folders with two pairs, of which one differs in suffix."""
    images.write(tmp_path / "blurry/s1/2.png", IMAGE)
    images.write(tmp_path / "blurry/s1/10.jpg", IMAGE)
    images.write(tmp_path / "sharp/s1/2.png", IMAGE)
    images.write(tmp_path / "sharp/s1/10.png", IMAGE)
    return tmp_path / "blurry", tmp_path / "sharp"


def test_find_pairs(folders):
    blurry, sharp = folders
    assert pairing.find_pairs(blurry, sharp) == [
        pairing.Pair("s1/10", blurry / "s1/10.jpg", sharp / "s1/10.png", (5, 7)),
        pairing.Pair("s1/2", blurry / "s1/2.png", sharp / "s1/2.png", (5, 7)),
    ]


def test_missing_partner(folders):
    blurry, sharp = folders
    (sharp / "s1/10.png").unlink()
    with pytest.raises(
        InputError, match=r"1 of 2 blurry and 1 sharp images have no partner: .*10\.jpg\."
    ):
        pairing.find_pairs(blurry, sharp)


def test_ambiguous_partner(folders):
    blurry, sharp = folders
    images.write(blurry / "s1/10.png", IMAGE)
    with pytest.raises(InputError, match=r"10\.\w+ and .*10\.\w+ \(in `blurry_dir`\) differ only"):
        pairing.find_pairs(blurry, sharp)


def test_sizes_that_differ(folders):
    blurry, sharp = folders
    images.write(sharp / "s1/2.png", IMAGE[:6])
    with pytest.raises(InputError, match=r"blurry/s1/2\.png has 5x7 .*sharp/s1/2\.png 5x6"):
        pairing.find_pairs(blurry, sharp)


def test_unreadable_header(folders):
    blurry, sharp = folders
    (sharp / "s1/2.png").write_text("no image")
    with pytest.raises(InputError, match=r"sharp/s1/2\.png cannot be read"):
        pairing.find_pairs(blurry, sharp)


def test_missing_and_empty_folders(folders, tmp_path):
    blurry, sharp = folders
    with pytest.raises(InputError, match=r"`blurry_dir=.*nowhere` is not a folder"):
        pairing.find_pairs(tmp_path / "nowhere", sharp)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"`sharp_dir=.*empty` holds no image"):
        pairing.find_pairs(blurry, tmp_path / "empty")


@pytest.fixture
def scenes(tmp_path):
    """As RealBlur has them: both kinds below one folder, under other names."""
    for scene in ("a", "b"):
        for n in (1, 2):
            images.write(tmp_path / f"{scene}/blur/blur_{n}.png", IMAGE)
            images.write(tmp_path / f"{scene}/gt/gt_{n}.png", IMAGE)
    images.write(tmp_path / "cover.png", IMAGE)
    return tmp_path


def test_templates(scenes):
    template = "{scene}/blur/blur_{n}.png,{scene}/gt/gt_{n}.png"
    found = pairing.find_pairs(scenes, scenes, template)
    assert [pair.name for pair in found] == [
        f"{scene}/blur/blur_{n}" for scene in "ab" for n in (1, 2)
    ]
    assert all(p.sharp.name == p.blurry.name.replace("blur", "gt") for p in found)
    assert all(p.sharp.parts[-3] == p.blurry.parts[-3] for p in found)
    (scenes / "a/gt/gt_1.png").unlink()
    (scenes / "b/blur/blur_2.png").unlink()
    with pytest.raises(InputError) as error:
        pairing.find_pairs(scenes, scenes, template)
    assert "2 of 3 blurry and 3 sharp images have no partner: " in str(error.value)
    assert f"{scenes}/a/blur/blur_1.png, {scenes}/b/gt/gt_2.png." in str(error.value)


@pytest.mark.parametrize(
    "template", ["{n}.png", "{n}.png,{m}.png", "a,b", "{,}", "{n}.png,{n}.p,{n}"]
)
def test_templates_that_are_none(scenes, template):
    with pytest.raises(InputError, match=r"`pairs=.*give a file list\.csv, or two paths"):
        pairing.find_pairs(scenes, scenes, template)


def test_lists(scenes):
    lines = ["Blurry, sharp", "a/blur/blur_2.png,b/gt/gt_1.png", "", "cover.png,a/gt/gt_1.png"]
    (scenes / "list.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    expected = [
        pairing.Pair(
            "a/blur/blur_2", scenes / "a/blur/blur_2.png", scenes / "b/gt/gt_1.png", (5, 7)
        ),
        pairing.Pair("cover", scenes / "cover.png", scenes / "a/gt/gt_1.png", (5, 7)),
    ]
    assert pairing.find_pairs(pairs=scenes / "list.csv") == expected
    (scenes / "b" / "list.csv").write_text("blur_1.png,gt_2.png")
    (found,) = pairing.find_pairs(scenes / "a/blur", scenes / "a/gt", scenes / "b/list.csv")
    assert (found.name, found.sharp) == ("blur_1", scenes / "a/gt/gt_2.png")


def test_names_of_lists_stay_inside_a_report(scenes):
    (scenes / "b" / "list.csv").write_text(
        f"../cover.png,gt/gt_1.png\n{scenes}/cover.png,gt/gt_1.png"
    )
    found = pairing.find_pairs(pairs=scenes / "b" / "list.csv")
    assert [pair.name for pair in found] == ["000001_cover", "000002_cover"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no pair"),
        ("cover.png", "line 1: give two files"),
        ("cover.png,cover.png\ncover.png,no.png", "line 2: .*no.png is no file"),
        ("cover.png,cover.png\ncover.png,cover.png", "line 2: .*cover.png stands there twice"),
        ('cover.png,"' + "cover.png\n" * 20_000, "is no list of pairs .*: look for a lone quote"),
    ],
)
def test_lists_that_are_wrong(scenes, text, message):
    (scenes / "list.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        pairing.find_pairs(pairs=scenes / "list.csv")
