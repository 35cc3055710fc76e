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
    report = tmp_path / "report.md"
    report.write_text("# Evaluation\n")
    page = tmp_path / "report.html"
    page.write_text("<!DOCTYPE html>\n<html>\n<h1>Evaluation</h1>\n</html>\n")
    curves.append(report, rows)
    lines = report.read_text().splitlines()
    table = [line for line in lines if line.startswith("|")][2:]
    assert len(table) == shown and table[-1].startswith(f"| {250 * count} ")
    assert lines[0] == "# Evaluation" and "![loss and PSNR by step](curves.png)" in lines
    html = page.read_text()
    assert html.count("<tr>") == 1 + shown and 'src="curves.png"' in html
    assert html.index("<h1>") < html.index("<h2>Training</h2>") and html.endswith("</html>\n")
    assert PIL.Image.open(tmp_path / "curves.png").size == (1000, 350)
