import pytest

from tfdeblur.evaluation import paper_tables


def by_network(dataset):
    return {
        (row.quoted.network, row.quoted.psnr): row
        for group in paper_tables.rows(dataset).values()
        for row in group
    }


@pytest.mark.parametrize(
    ("network", "psnr", "recipe", "dataset", "protocol"),
    [
        ("DeepDeblur", 29.23, "deepdeblur_k2_adv", "gopro/blur_gamma", "nah2017"),
        ("DeepDeblur", 29.08, "deepdeblur_k3_adv", "gopro/blur_gamma", "nah2017"),
        ("MPRNet", 32.66, "mprnet", "gopro/blur", "mprnet"),
        ("srn_color", 30.25, "srn_color", "gopro/blur", "srn"),
        ("dmphn_1_2_4_8", 30.25, "dmphn_1_2_4_8", "gopro/blur", "srn"),
        ("SRN", 30.26, "srn_lstm", "gopro/blur", "srn"),
    ],
)
def test_quoted_scores_are_those_of_recipes(network, psnr, recipe, dataset, protocol):
    own = by_network("gopro")[network, psnr].own
    assert (own.network, own.dataset, own.protocol) == (recipe, dataset, protocol)


def test_what_states_no_protocol_or_has_no_recipe_is_not_measured():
    rows = by_network("gopro")
    for key in (("MT-RNN", 31.15), ("SRN", 30.10), ("RADN", 31.76), ("maxim_gopro", 32.86)):
        assert rows[key].own is None


@pytest.mark.parametrize("dataset", paper_tables.DATASETS)
def test_every_score_stands_once(dataset):
    rows = by_network(dataset)
    text = paper_tables.markdown(dataset, {})
    lines = [line for line in text.splitlines() if line.startswith("| ") and "PSNR" not in line]
    assert len(lines) == len(rows) == sum(map(len, paper_tables.rows(dataset).values()))
    # A score is quoted, or stands under its recipe's name.
    assert ("| mprnet" in text) == (dataset in ("hide", "realblur"))


def test_the_last_columns_are_what_was_measured():
    own = by_network("gopro")["MPRNet", 32.66].own
    (line,) = [
        x
        for x in paper_tables.markdown("gopro", {own: (32.61, 0.95871, 1.5)}).splitlines()
        if "MPRNet" in x
    ]
    assert [cell.strip() for cell in line.split("|")[1:-1]] == [
        "MPRNet",
        "32.66",
        "0.959",
        "0.18",
        "0.162",
        "20.1",
        "gopro/blur, mprnet",
        "32.61",
        "0.9587",
        "1.500",
    ]


def test_a_protocol_that_is_not_stated_is_said_to_be_taken_as_such():
    (row,) = [
        line
        for line in paper_tables.markdown("kohler", {}).splitlines()
        if line.startswith("| two-way network")
    ]
    assert "kohler, kohler |" in row
    (row,) = [
        line for line in paper_tables.markdown("gopro", {}).splitlines() if "dmphn_1_2_4_8" in line
    ]
    assert "gopro/blur, srn (not stated)" in row
