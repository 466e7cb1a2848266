"""Writes into the README what the page over all results opens with."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- results -->\n", "\n<!-- end of results -->"
TITLE, REST = "# Results\n\n", "| suite |"


def opening_of(page: str) -> str:
    """Returns what a page says before its list of suites, with links as from the root."""
    opening = page.partition(TITLE)[2].partition(REST)[0].strip()
    return opening.replace("](<", "](<results/")


def with_opening(readme: str, page: str) -> str:
    """Returns the README with the opening of the results page; as it is where there is none."""
    opening = opening_of(page)
    if not opening:
        return readme
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}{opening}{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    path, page = ROOT / "README.md", ROOT / "results" / "README.md"
    text = with_opening(path.read_text(encoding="utf-8"), page.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
