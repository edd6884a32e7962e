"""BigQuery's SQL files over local Parquet: translated by sqlglot, run by DuckDB.

A folder of SQL files holds `create_<table>.sql` for each table, with its columns, and one file per query.
"""

import glob
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from sentiment.jobs import DataError, one_line
from sentiment.monitoring.partitions import PREFIX

SCHEMA = "sentiment"
PREDICTIONS, DEAD_LETTERS = "predictions", "dead_letters"
QUERIES = [
    "staleness",
    "throughput_per_hour",
    "accuracy_per_day",
    "prediction_distribution",
    "score_histogram",
    "model_versions",
    "dead_letters",
]
PARTITION = "date"
_FROM, _TO = "bigquery", "duckdb"
_DDL_OPTIONS = "WITH PARTITION COLUMNS"
# Nothing is fetched from anywhere: DuckDB would else download extensions that it finds wanting.
_CONFIG = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
# The first file without all columns, and those that it has not.
_LACKING = """
SELECT file_name, list_filter($wanted, lambda name: NOT list_contains(list(parts.name), name)) AS missing
FROM parquet_schema({files}) AS parts
GROUP BY file_name
HAVING len(missing) > 0
ORDER BY file_name
LIMIT 1
"""
_ADVICE = re.compile("Candidate names|If you are trying|In file|Possible solutions")
_OUR_FAULTS = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.InternalException)

Value = int | float | str | bool | date | datetime | None


@dataclass(frozen=True)
class Result:
    """What a query gave: names of the columns, and rows in that order."""

    columns: list[str]
    rows: list[list[Value]]

    def column(self, name: str) -> list[Any]:
        """One column from top to bottom."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


class Warehouse:
    """The tables that the SQL files describe, empty until they are attached to files.

    Args:
        sql: folder of the SQL files.
        scratch: local folder for what does not fit into memory.

    Raises:
        DataError: a file of a table or query is missing.
    """

    def __init__(self, sql: Path, scratch: Path) -> None:
        self._sql = sql
        self._places: dict[str, str] = {}
        self._connection = duckdb.connect(config={**_CONFIG, "temp_directory": str(scratch)})
        self._connection.execute("SET TimeZone = 'UTC'")
        for table in (PREDICTIONS, DEAD_LETTERS):
            for statement in table_statements(self._text(f"create_{table}")):
                self._connection.execute(statement)

    def columns(self, table: str) -> dict[str, str]:
        """DuckDB's types of a table's columns, by name."""
        return _types(self._connection.sql(f"SELECT * FROM {SCHEMA}.{table}"))

    def attach(self, table: str, folder: Path, days: list[date], argument: str, location: str) -> None:
        """Let a table be the Parquet files under `<folder>/date=YYYY-MM-DD/` of these days, of which there is one.

        Args:
            table: name of the table.
            folder: local folder.
            days: those of its days that are wanted.
            argument: what errors name.
            location: where the folder's files come from, as errors name it.

        Raises:
            DataError: the files cannot be read, or have not the table's columns.
        """
        self._places[str(folder)] = location
        patterns = [f"{glob.escape(str(folder))}/{PREFIX}{day}/*.parquet" for day in days]
        files = f"[{', '.join(map(_literal, patterns))}]"
        source = f"read_parquet({files}, hive_partitioning = true, hive_types = {{'{PARTITION}': DATE}})"
        wanted = self.columns(table)
        whole = {"wanted": [name for name in wanted if name != PARTITION]}
        try:
            lacking = self._connection.sql(_LACKING.format(files=files), params=whole).fetchall()
            found = _types(self._connection.sql(f"SELECT * FROM {source}"))
        except duckdb.Error as error:
            raise DataError(f"{argument} {location}: want Parquet files, found {self._brief(error)}") from error
        if lacking:
            file, missing = self._named(lacking[0][0]), ", ".join(lacking[0][1])
            raise DataError(
                f"{argument} {location}: want the columns of {table}, found none called {missing} in {file}"
            )
        different = [name for name in wanted if found[name] != wanted[name]]
        if different:
            expected, actual = (", ".join(f"{name} {types[name]}" for name in different) for types in (wanted, found))
            raise DataError(f"{argument} {location}: want {expected}; found {actual}")
        self._connection.execute(f"DROP TABLE {SCHEMA}.{table}")
        self._connection.execute(f"CREATE VIEW {SCHEMA}.{table} AS SELECT {', '.join(wanted)} FROM {source}")

    def run(self, query: str, parameters: dict[str, Value]) -> Result:
        """The result of the SQL file of that name; it gets those of the parameters that it has.

        DataError: a file of the tables cannot be read.
        """
        statement = sqlglot.parse_one(self._text(query), read=_FROM)
        names = {parameter.name for parameter in statement.find_all(exp.Parameter)}
        given = {name: value for name, value in parameters.items() if name in names}
        try:
            relation = self._connection.sql(statement.sql(_TO), params=given)
            found = relation.to_arrow_table()
        except _OUR_FAULTS:
            raise
        except duckdb.Error as error:
            raise DataError(
                f"--predictions, --dead-letters: want readable files, found {self._brief(error)}"
            ) from error
        return Result(found.column_names, [[_plain(value) for value in row.values()] for row in found.to_pylist()])

    def _brief(self, error: duckdb.Error) -> str:
        """What went wrong, without DuckDB's advice, which is about its own SQL."""
        return self._named(_ADVICE.split(one_line(error))[0].strip())[:400]

    def _named(self, text: str) -> str:
        """A text with the places that the user knows instead of the folders that were read."""
        for folder, location in self._places.items():
            text = text.replace(folder, location)
        return text

    def _text(self, name: str) -> str:
        file = self._sql / f"{name}.sql"
        try:
            return file.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"cannot read {file}: {error.strerror}") from error


def table_statements(text: str) -> list[str]:
    """A `create_<table>.sql` as DuckDB's statements: the schema, and an empty table with its partition column.

    sqlglot knows neither EXTERNAL nor the partition columns: it gets the columns, then the partition column.
    """
    head, _, tail = text.partition(_DDL_OPTIONS)
    statements = sqlglot.parse(head.replace("EXTERNAL TABLE", "TABLE"), read=_FROM)
    options = sqlglot.parse_one(f"CREATE TABLE options {tail}", read=_FROM)
    table = next(found for found in statements if isinstance(found, exp.Create) and found.kind == "TABLE")
    table.this.expressions.extend(options.find_all(exp.ColumnDef))
    return [statement.sql(_TO, comments=False) for statement in statements if statement is not None]


def _types(relation: duckdb.DuckDBPyRelation) -> dict[str, str]:
    return {name: str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain(value: Any) -> Value:
    """DuckDB counts in integers wider than Arrow's, which come as decimals."""
    return int(value) if isinstance(value, Decimal) else value
