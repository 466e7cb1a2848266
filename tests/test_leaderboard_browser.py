"""The leaderboard's page in a browser: sort, filter, choose, open, link, keyboard, widths."""

import runpy
import shutil
from pathlib import Path

import pytest
from aebench.bench.leaderboard.build import build_leaderboard
from aebench.bench.records.results import write_results

pytestmark = pytest.mark.long
FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
HOSTILE = "<img src=x onerror=document.title='run'>"
RIGHT_TO_LEFT = "\u202e\u05de\u05e7\u05d5\u05d3\u05d3 \u0639\u0631\u0628\u064a"
LONG = "no-spaces-in-this-name-" * 12
ODD = (HOSTILE, RIGHT_TO_LEFT, LONG)


@pytest.fixture(scope="module")
def driver():
    webdriver = pytest.importorskip("selenium.webdriver")
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--window-size=1600,1000",
        "--hide-scrollbars",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    rows = FACTORY["table_rows"](objectives=("vae", "rae", "ae"), seeds=range(6))
    rows += [FACTORY["make_row"](objective=name, value=99.0) for name in ODD]
    FACTORY["write_runs"](folder / "quick", rows)
    study = [row for row in FACTORY["study_rows"]() if row["steps"] != 3000]
    (folder / "study").mkdir()
    write_results(folder / "study" / "results.csv", FACTORY["frame"](study))
    return build_leaderboard([folder / "quick", folder / "study"], folder)[2].as_uri()


@pytest.fixture
def page(driver, address):
    """The page, just opened, at full width."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.get("about:blank")
    driver.get_log("browser")
    driver.get(address)
    yield driver
    assert driver.get_log("browser") == []


def found(page, selector):
    return page.find_elements("css selector", selector)


def texts(page, selector):
    read = "return Array.from(document.querySelectorAll(arguments[0]), (e) => e.textContent)"
    return page.execute_script(read, selector)


def numbers(page, column):
    return [float(text) for text in texts(page, f"tbody .{column} b")]


def choose(page, field, text):
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("id", f"choose-{field}")).select_by_visible_text(text)


def show_quick(page):
    choose(page, "dataset", "fashion-mini")
    choose(page, "of", "reconstructions")


def test_it_opens_with_the_study_and_a_board_and_runs_no_foreign_code(page):
    assert page.title.startswith("aebench leaderboard")
    [sentence] = texts(page, "h1")
    assert "come closest to real images" in sentence
    marks = found(page, "#chart .point")
    assert len(marks) == len(found(page, ".more details:first-child tr")) - 1 > 5
    assert len(texts(page, "#board tbody tr")) > 3


def test_the_mark_under_the_pointer_or_focus_shows_its_row(page):
    from selenium.webdriver import ActionChains, Keys

    marks = found(page, "#chart .point")
    label = marks[0].get_attribute("aria-label")
    ActionChains(page).move_to_element(found(marks[0], ".mark")[0]).perform()
    [shown] = found(page, "#readout")
    assert shown.is_displayed() and ", ".join(shown.text.splitlines()) == label
    page.execute_script("document.querySelector('#chart .point[tabindex=\"0\"]').focus()")
    first = page.switch_to.active_element.get_attribute("aria-label")
    page.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    second = page.switch_to.active_element.get_attribute("aria-label")
    assert first != second and shown.text.splitlines()[0] in second


def test_a_column_sorts_when_its_header_is_clicked(page):
    show_quick(page)
    up = numbers(page, "mean")
    page.find_element("css selector", "[data-sort=mean]").click()
    down = numbers(page, "mean")
    assert up == sorted(up) and down == sorted(down, reverse=True) and up[0] < up[-1]
    page.find_element("css selector", "[data-sort=name]").click()
    names = [text.lower() for text in texts(page, "tbody .called")]
    assert len(names) == len(up)
    assert found(page, "th[aria-sort=ascending] [data-sort=name]")


def test_a_filter_narrows_the_rows(page):
    show_quick(page)
    before = len(texts(page, "#board tbody tr"))
    page.find_element("id", "find").send_keys("RAE")
    assert texts(page, "tbody .called") == ["rae"] and before > 1
    assert f"1 of {before} entries" in page.find_element("id", "told").text
    assert page.switch_to.active_element.get_attribute("id") == "find"


def test_boards_are_chosen_by_what_tells_them_apart(page):
    show_quick(page)
    assert texts(page, "#heading") == ["Fréchet distance of reconstructions"]
    choose(page, "of", "interpolations")
    assert texts(page, "#heading") == ["Fréchet distance of interpolations"]
    choose(page, "dataset", "fashion-mnist")
    assert "fashion-mnist" in page.find_element("id", "protocol").text


def test_a_row_shows_its_own_samples_at_a_whole_multiple_of_their_pixels(page):
    show_quick(page)
    image = page.find_element("css selector", "tbody img.strip")
    native = page.execute_script("return arguments[0].naturalWidth", image)
    assert native == 8 * 29 - 1 and image.size["width"] in (native, 2 * native)
    assert image.value_of_css_property("image-rendering") == "pixelated"


def test_a_card_opens_by_key_holds_the_focus_and_gives_it_back(page):
    from selenium.webdriver import Keys

    show_quick(page)
    button = found(page, "tbody .model button")[0]
    name = button.text
    page.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    card = page.find_element("id", "card")
    assert card.get_attribute("open") and texts(page, "#card-title") == [name]
    assert {"Pictures", "Scores", "Training curves", "Model", "Runs"} <= set(texts(page, "h3"))
    assert found(page, "#card .strip") and found(page, "#card .curves path")
    assert "#" in page.current_url and "card=" in page.current_url
    page.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not card.get_attribute("open") and "card=" not in page.current_url
    assert page.switch_to.active_element == button


def test_every_card_opens(page):
    opened = page.execute_script(
        "return Object.keys(content.cards)"
        ".map((key) => { openCard(key); return part('card').open; })"
    )
    assert len(opened) > 20 and all(opened)
    page.execute_script("part('card').close()")


def test_an_address_leads_to_the_same_board_order_and_card(page):
    show_quick(page)
    page.find_element("css selector", "[data-sort=mean]").click()
    names = texts(page, "tbody .called")
    found(page, "tbody .model button")[-1].click()
    address = page.current_url
    page.get("about:blank")
    page.get(address)
    assert texts(page, "tbody .called") == names and texts(page, "#card-title") == [names[-1]]
    page.back()
    page.get(address.partition("#")[0] + "#board=no-such-board&card=none&sort=nothing")
    page.refresh()
    assert "names a board that is not here" in page.find_element("id", "told").text
    assert len(texts(page, "#board tbody tr")) > 3


def test_back_returns_to_the_board_before(page):
    show_quick(page)
    before = texts(page, "#heading")
    choose(page, "of", "interpolations")
    page.back()
    assert texts(page, "#heading") == before


@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1600])
def test_nothing_is_wider_than_the_window(page, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    show_quick(page)
    page.find_element("id", "find").send_keys("a")
    overflow = (
        "const e = document.querySelector(arguments[0]); return e.scrollWidth - e.clientWidth"
    )
    assert page.execute_script("return document.documentElement.clientWidth") == width
    assert page.execute_script(overflow, "html") == 0
    found(page, "tbody .model button")[0].click()
    assert page.execute_script(overflow, "html") == page.execute_script(overflow, "#card") == 0


def test_odd_names_stay_text_within_their_cells(page):
    choose(page, "dataset", "fashion-mini")
    choose(page, "of", "reconstructions")
    shown = texts(page, "tbody .called")
    assert set(ODD) <= set(shown) and page.title.startswith("aebench leaderboard")
    cells = 'return Array.from(document.querySelectorAll("#board td"), '
    assert max(page.execute_script(cells + "(e) => e.scrollWidth - e.clientWidth)")) <= 1


def test_dark_and_light_follow_the_reader(page):
    colours = {}
    for scheme in ("light", "dark"):
        feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        style = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
        colours[scheme] = [
            sum(int(c) for c in text[4:-1].split(",")) for text in page.execute_script(style)
        ]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert colours["light"][0] < colours["light"][1] and colours["dark"][0] > colours["dark"][1]


def test_a_card_tells_its_likelihoods_apart_and_counts_no_failure_as_a_rank(driver, tmp_path):
    make = FACTORY["likelihood_rows"]
    rows = make(seeds=range(6), levels={"vae": 4.0, "iwae": 4.1})
    own = {"model": "completed", "density": "gmm-10"}
    rows += make(seeds=range(6), levels={"vae": 4.2}, trusted="no", **own)
    FACTORY["write_runs"](tmp_path / "suite", rows, arrays=False, log=False)
    driver.get(build_leaderboard([tmp_path / "suite"], tmp_path)[2].as_uri())
    driver.execute_script("openCard(content.boards[0].rows.find((row) => row.model).card)")
    told = texts(driver, "#card table.plain tbody th button")
    assert [text.partition("space")[2] for text in told] == ["", ", completed with gmm-10"]
    ranks = texts(driver, "#card table.plain tbody th + td + td")[:2]
    assert ranks[0].endswith(" of 3") and ranks[1] == "6 untrusted"


@pytest.mark.parametrize(
    ("trusted", "end"), [("yes", "; the seeds separate none of them."), ("no", ".")]
)
def test_only_a_board_with_ranks_says_that_the_seeds_separate_none(driver, tmp_path, trusted, end):
    rows = FACTORY["likelihood_rows"](levels={"vae": 4.0, "iwae": 4.1}, seeds=[0], trusted=trusted)
    FACTORY["write_runs"](tmp_path / "suite", rows, arrays=False, log=False)
    driver.get(build_leaderboard([tmp_path / "suite"], tmp_path)[2].as_uri())
    assert driver.find_element("id", "told").text == f"2 entries{end}"


def test_thousands_of_rows_come_after_the_first_and_all_are_printed(driver, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    rows = [FACTORY["make_row"](variant=f'{{"beta":{at}}}', value=float(at)) for at in range(1000)]
    (tmp_path / "s").mkdir()
    write_results(tmp_path / "s" / "results.csv", FACTORY["frame"](rows))
    driver.get(build_leaderboard([tmp_path / "s"], tmp_path)[2].as_uri())
    count = "return document.querySelectorAll('#board tbody tr').length"
    assert driver.execute_script("drawBoard();" + count) == 40
    assert driver.execute_script("dispatchEvent(new Event('beforeprint'));" + count) == 1000
    driver.execute_script("drawBoard()")
    WebDriverWait(driver, 60).until(lambda _: driver.execute_script(count) == 1000)
    assert driver.get_log("browser") == []
