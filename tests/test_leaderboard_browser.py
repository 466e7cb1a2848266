import runpy
import shutil
from pathlib import Path

import pytest
from aebench.bench.leaderboard.build import build_leaderboard

pytestmark = pytest.mark.long
FACTORY = runpy.run_path(str(Path(__file__).with_name("row_factory.py")))
HOSTILE = "<img src=x onerror=document.title='run'>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    if shutil.which("chromium") is None or shutil.which("chromedriver") is None:
        pytest.skip("needs chromium and chromium-driver")
    folder = tmp_path_factory.mktemp("board")
    rows = FACTORY["table_rows"](objectives=("vae", "rae", "ae"), seeds=range(6))
    rows.append(FACTORY["make_row"](objective=HOSTILE, value=99.0))
    FACTORY["write_runs"](folder / "quick", rows, log=False)
    paths = build_leaderboard([folder / "quick"], folder)
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1600,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.get(paths[2].as_uri())
    yield driver
    driver.quit()


def column(page, field):
    cells = page.find_elements("css selector", f".tabulator-cell[tabulator-field={field}]")
    return [cell.text for cell in cells]


def test_the_page_loads_without_console_errors_and_runs_no_foreign_code(page):
    assert page.get_log("browser") == []
    assert len(column(page, "objective")) > 3
    assert page.title.startswith("aebench leaderboard")


def test_a_column_sorts_when_its_header_is_clicked(page):
    page.execute_script("leaderboard.setGroupBy(false)")
    header = page.find_element("css selector", ".tabulator-col[tabulator-field=mean]")
    title = header.find_element("css selector", ".tabulator-col-title")
    title.click()
    up = [float(text) for text in column(page, "mean")]
    title.click()
    down = [float(text) for text in column(page, "mean")]
    assert up == sorted(up) and down == sorted(down, reverse=True) and up[0] < up[-1]


def test_a_filter_narrows_the_rows(page):
    from selenium.webdriver.support.ui import WebDriverWait

    before = column(page, "objective")
    assert set(before) > {"rae"}
    field = ".tabulator-col[tabulator-field=objective] input"
    page.find_element("css selector", field).send_keys("rae")
    WebDriverWait(page, 10).until(lambda _: set(column(page, "objective")) == {"rae"})


def test_a_picture_opens_and_closes(page):
    page.find_element("css selector", ".thumb").click()
    dialog = page.find_element("css selector", "dialog")
    image = dialog.find_element("css selector", "img")
    assert dialog.get_attribute("open") and image.size["width"] > 400
    assert page.execute_script("return arguments[0].naturalWidth", image) > 0
    image.click()
    assert not dialog.get_attribute("open")
