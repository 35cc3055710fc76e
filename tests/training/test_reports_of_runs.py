import PIL.Image
import pytest

from tfdeblur.training import curves


@pytest.mark.parametrize(("count", "shown"), [(1, 1), (20, 20), (21, 11), (100, 21)])
def test_a_long_run_has_a_short_table_with_its_last_row(count, shown, tmp_path):
    rows = [
        {
            "step": str(250 * (i + 1)),
            "loss": "0.5",
            "val_loss": "0.4",
            "psnr": "20",
            "val_psnr": "21.5",
            "val_psnr_blurry": "21",
        }
        for i in range(count)
    ]
    title, picture, *lines = curves.section(tmp_path, rows).split("\n\n")
    assert (title, picture) == ("## Training", "![loss and PSNR by step](curves.png)")
    table = lines[0].splitlines()[2:]
    assert len(table) == shown and table[-1].startswith(f"| {250 * count} ")
    assert PIL.Image.open(tmp_path / "curves.png").size == (1000, 350)
