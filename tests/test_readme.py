"""The README: short, and with nothing in its results that the committed results do not say."""

from __future__ import annotations

import configparser
import re
import runpy
from pathlib import Path

import pytest
from aebench.bench.pages.families import headline_of

README = Path(__file__).parent.parent / "README.md"
RESULTS = README.parent / "results"
FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
SCRIPT = runpy.run_path(str(README.parent / "scripts" / "readme.py"))
MOST_WORDS = 700


@pytest.fixture(scope="module")
def readme():
    return README.read_text(encoding="utf-8")


def parts_of(text):
    """Returns the README without its results, and its results."""
    before, _, rest = text.partition(SCRIPT["BEGIN"])
    results, _, after = rest.partition(SCRIPT["END"])
    assert results and after
    return before + after, results


def table_in(text):
    """Returns, for each label of the first table of a page, its cells by column."""
    lines = re.search(r"^\|(?:.*\n\|)*.*", text, re.MULTILINE)[0].splitlines()
    cells = [[c.strip() for c in x.strip("|").split("|")] for x in lines]
    header, found = cells[0], {}
    for row in cells[2:]:
        found[row[0]] = dict(zip(header, row, strict=True))
    return found


def number_in(cell):
    """Returns a cell without the footnotes behind it."""
    return re.sub(r"( [¹²³⁴⁵⁶⁷⁸⁹†])+$", "", cell)


def test_it_has_at_most_700_words_beside_its_results(readme):
    """Words are what spaces separate, those of code and of links included."""
    assert 300 < len(parts_of(readme)[0].split()) <= MOST_WORDS


def test_it_says_what_was_found_in_at_most_150_words(readme):
    assert 60 < len(parts_of(readme)[1].partition("![")[0].split()) <= 150


def test_it_says_which_rae_is_meant(readme):
    assert "regularised autoencoder" in readme and "not the representation autoencoder" in readme


def test_its_results_are_one_picture_one_table_and_a_link_to_all_conditions(readme):
    _, results = parts_of(readme)
    (picture,) = re.findall(r"!\[[^\]]+\]\(<(.+?)>\)", results)
    (page,) = re.findall(r"the study's page\]\((.+?)\)", results)
    assert (README.parent / picture).is_file() and (README.parent / page).is_file()
    assert len(re.findall(r"^\|[:-]", results, re.MULTILINE)) == 1


def test_every_number_of_its_table_is_in_the_same_place_of_the_committed_page(readme):
    shown = table_in(parts_of(readme)[1])
    page = table_in((RESULTS / "README.md").read_text(encoding="utf-8"))
    assert len(shown) > 15
    for label, cells in shown.items():
        assert len(cells) == 6
        for column, cell in cells.items():
            assert number_in(cell) == number_in(page[label][column]), (label, column)
            assert ("†" in cell) == ("†" in page[label][column]), (label, column)
    left_out = page.keys() - shown.keys()
    assert left_out == set(SCRIPT["LEFT_OUT"])


@pytest.fixture(scope="module")
def tables():
    """Returns the headline of a study, whole and in short."""
    (whole,) = headline_of(FACTORY["frame"](FACTORY["study_rows"]()))
    return whole, SCRIPT["in_short"](whole)


def test_its_table_says_that_the_interval_of_a_likelihood_covers_test_images_too(tables):
    assert "Likelihoods: ± covers the error over test images too" in tables[1].as_markdown()


def test_its_table_has_real_images_with_noise_and_marks_what_loses_to_them(tables):
    whole, short = (dict(table.lines) for table in tables)
    own = [name for _, name in tables[0].columns].index("FD own ↓")
    blurred = "worse than real images with one pixel of blur"
    noisy = "worse than real images with noise of 20 of 255 grey levels"
    assert short["noise"][own].text == whole["noise"][own].text == "1446 (1)"
    assert short["vae (logit)"][own].warnings == (blurred, noisy)  # 1500, of 829 and 1446.
    assert short["rae (unit)"][own].warnings == (blurred,)  # 1050.
    page = tables[1].as_markdown()
    assert f"¹ {blurred}. ² {noisy}." in page
    assert "floor, blur, noise: held-out real images as they are, with" in page


def test_what_its_table_leaves_out_is_named(tables):
    names = [{name for _, name in table.columns} for table in tables]
    labels = [{label for label, _ in table.lines} for table in tables]
    gone = {name.rstrip(" ↑↓") for name in names[0] - names[1]} | (labels[0] - labels[1])
    told = set(SCRIPT["left_out"]([tables[0]]))
    assert told - gone == {"parameters outside the backbone"} and gone - told == {"outside"}
    assert {"F_8", "F_1/8", "steps"} < told


def test_whether_flows_reach_higher_likelihoods_leads_to_the_study_that_decides_it(readme):
    page = re.search(r"\[flows reach higher likelihoods than VAEs\]\((.+?)\)", readme)[1]
    found = (README.parent / page).read_text(encoding="utf-8").split("\n\n")[1]
    assert (
        "In bits/dim against the VAE" in found
        and "undecided (" not in (found.partition("against the VAE")[2].partition(". ")[0])
    )


def test_every_link_leads_to_a_file(readme):
    links = re.findall(r"\]\(<?([^)>#]+)>?\)", readme)
    assert len(links) > 20
    assert [link for link in links if not (README.parent / link).exists()] == []


def test_the_two_commands_open_the_readme(readme):
    first = readme.split("```")[1].partition("\n")[2].strip().splitlines()
    commands = [line.partition("#")[0].strip() for line in first]
    assert commands == [
        "python3 -m pip install tox-uv && tox -e quick",
        "python3 -m pip install tox-uv && tox -e test",
    ]


def test_the_first_command_trains_although_the_rows_of_the_quick_suite_are_committed():
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(README.parent / "tox.ini", encoding="utf-8")
    words = settings["testenv:quick"]["commands"].split()
    assert words[:3] == ["aebench", "run", "quick"] and "--retrain" in words


@pytest.mark.long
def test_the_script_would_write_the_same_again(readme):
    assert SCRIPT["with_block"](readme, SCRIPT["results_block"](RESULTS)) == readme


def test_the_script_puts_a_block_where_the_readme_has_its_results_and_loses_nothing():
    write = SCRIPT["with_block"]
    readme = "top\n\n<!-- results -->\nold\n<!-- end of results -->\n\nrest\n"
    new = write(readme, "new")
    assert new == readme.replace("old", "new") and write(new, "new") == new
    assert write(readme, "") == readme
    empty = "top\n<!-- results -->\n<!-- end of results -->\nrest\n"
    assert write(empty, "new").endswith("new\n<!-- end of results -->\nrest\n")
    for without in (readme.replace("<!-- results -->", ""), readme.replace("end of", "")):
        with pytest.raises(ValueError, match=r"README\.md lacks"):
            write(without, "new")
