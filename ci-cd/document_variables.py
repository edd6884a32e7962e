"""Write the DAGs' Variables into docs/operate.md and airflow/variables.example.json, or check that these hold them."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "airflow" / "dags"))

from sentiment_dags import settings  # noqa: E402

PAGE = ROOT / "docs" / "operate.md"
EXAMPLE = ROOT / "airflow" / "variables.example.json"
BEGIN = "<!-- variables: written by `make docs` from airflow/dags/sentiment_dags/settings.py -->\n"
END = "<!-- end of variables -->\n"


def table() -> str:
    """A row for each Variable, in Markdown: name, default, what it may hold, what it is for."""
    rows = ["| Variable | default | want | what it is |", "| --- | --- | --- | --- |"]
    for each in dataclasses.fields(settings.Settings):
        held = each.metadata
        default = f"`{held['default']}`" if held["default"] else ""
        rows.append(f"| `{each.name}` | {default} | {held['wanted']} | {held['meaning']} |")
    return "\n".join(rows) + "\n"


def example() -> str:
    """The whole text of airflow/variables.example.json."""
    return json.dumps(settings.defaults(), indent=2) + "\n"


def page(text: str) -> str:
    """The page with the table between its two marks; ValueError: it has them not."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.relative_to(ROOT)}: want the lines {BEGIN.strip()} and {END.strip()}, found none")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if one is out of date")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        wanted = {PAGE: page(PAGE.read_text(encoding="utf-8")), EXAMPLE: example()}
    except ValueError as error:
        sys.exit(f"document_variables.py: error: {error}")
    for path, text in wanted.items():
        name = path.relative_to(ROOT)
        if not args.check:
            path.write_text(text, encoding="utf-8")
            print(name)
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"{name} is out of date: run `make docs`")


if __name__ == "__main__":
    main()
