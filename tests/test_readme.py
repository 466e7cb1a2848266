"""The README: short, and with nothing in its results that the committed results do not say."""

from __future__ import annotations

import configparser
import re
import runpy
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
RESULTS = README.parent / "results"
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
