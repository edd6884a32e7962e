"""From a message's bytes to a tweet, or to the reason why it is none. Nothing in here can fail on any input."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812

from sentiment import features, raw_tweets
from sentiment.serving import linear, sources
from sentiment.serving.settings import CSV, CSV_HEADER, JSON, KAFKA, Source
from sentiment.serving.sources import COORDINATES, PAYLOAD, TIME
from sentiment.text import readable

REASON = "reason"
COLUMNS = ["id", "text", "label", "event_time", TIME, COORDINATES, PAYLOAD, REASON]

BYTES_PER_CHARACTER = 6
"""The most that a character takes in JSON (a \\u0001)."""

ROOM_FOR_OTHER_FIELDS = 65_536
MAX_ID_CHARACTERS = 1_000

_FIELDS = "text STRING, id STRING, timestamp STRING, label STRING, corrupt STRING"
_OPTIONS = {"columnNameOfCorruptRecord": "corrupt", "allowNonNumericNumbers": "false"}
# What a JSON value that is no string looks like after from_json has made one of it; strings that look so are rare.
_LOOKS_LIKE_ANOTHER_TYPE = r'^(-?[0-9]|true$|false$|\{|\[|"-?Infinity"$)'
_BEFORE_JSON = " \t\r\n\ufeff"
"""White space, and the mark that some editors begin a file with."""

_BEYOND_DOUBLE = ['"Infinity"', '"-Infinity"']  # what it makes of 1e400, quotes and all


def of_stream(arriving: DataFrame, source: Source, max_chars: int, tokens: str = "") -> DataFrame:
    """What a query's batches hold, from sources.stream: messages of Kafka are parsed there already.

    Spark analyses a query's plan once, but what foreachBatch adds to it once per batch. Files stay as they are: their
    coordinates take a window over the batch, which no query may have.

    Args:
        arriving: see sources.stream.
        source: what they come from.
        max_chars: longer texts are not scored.
        tokens: a model's SQL for them, see linear.with_tokens; with it messages have their tokens too.
    """
    if source.kind != KAFKA:
        return arriving
    rows = parse(sources.messages(arriving, source), source, max_chars)
    return linear.with_tokens(rows, tokens) if tokens else rows


def of_batch(batch: DataFrame, source: Source, max_chars: int, headers: dict[str, bytes]) -> DataFrame:
    """A batch of `of_stream` as COLUMNS, see parse."""
    if source.kind == KAFKA:
        return batch.select(*COLUMNS) if features.TOKENS in batch.columns else batch
    return parse(sources.messages(batch, source, headers), source, max_chars, headers)


def parse(messages: DataFrame, source: Source, max_chars: int, headers: dict[str, bytes] | None = None) -> DataFrame:
    """Messages as COLUMNS: `reason` is null where text can be scored, else it says why not and text is null.

    Length is checked before any pattern runs. A missing id becomes the source coordinates, a time that cannot be read,
    or has no date, null, and so does a label that is none of 0, 1 and 4.

    Args:
        messages: payload, source, ingest_time (and inner_path for csv-header), see sources.messages.
        source: what they come from.
        max_chars: longer texts are not scored.
        headers: for csv-header the first line of each file, by path.
    """
    columns = {path: raw_tweets.csv_columns(line) for path, line in (headers or {}).items()}
    longest = BYTES_PER_CHARACTER * max_chars + ROOM_FOR_OTHER_FIELDS
    size = F.coalesce(F.octet_length(PAYLOAD), F.lit(0))
    usable = (size > 0) & (size <= longest)
    rows = messages.withColumn("inner_raw", F.when(usable, F.col(PAYLOAD)))
    rows = rows.withColumn("inner_text", _as_text("inner_raw", source))
    rows = rows.withColumn("inner_fields", _fields(source, columns))
    text = F.col("inner_fields.text")
    has_more_characters = (F.octet_length(text) > max_chars) & (F.length(text) > max_chars)  # bytes are known
    reason = (
        F.when(size == 0, "the message is empty")
        .when(size > longest, f"the message is longer than {longest} bytes")
        .when(F.col("inner_text").isNull(), "the message is not UTF-8")
        .when(F.col("inner_fields.reason").isNotNull(), F.col("inner_fields.reason"))
        .when(text.isNull(), "there is no text")
        .when(has_more_characters, f"the text is longer than {max_chars} characters")
        .when(~readable(text), "the text is blank")
        .when(F.length("inner_fields.id") > MAX_ID_CHARACTERS, f"the id is longer than {MAX_ID_CHARACTERS} characters")
    )
    given = F.col("inner_fields.id")
    # A time alone Spark takes for one of today, whichever day the attempt is made on. No pattern, for speed.
    dash, colon = (F.instr("inner_fields.timestamp", sign) for sign in "-:")
    moment = F.when((colon == 0) | dash.between(1, colon), F.expr("try_cast(inner_fields.timestamp AS TIMESTAMP)"))
    label = F.expr("try_cast(inner_fields.label AS DOUBLE)")
    rows = rows.select(
        F.when(F.length(given) > 0, given).otherwise(F.col(COORDINATES)).alias("id"),
        text.alias("text"),
        F.when(label == 0, 0.0).when(label.isin(1.0, 4.0), 1.0).alias("label"),
        moment.alias("event_time"),
        F.col(TIME),
        F.col(COORDINATES),
        F.col(PAYLOAD),
        reason.alias(REASON),
    )
    return rows.withColumn("text", F.when(F.col(REASON).isNull(), F.col("text")))


def _as_text(raw: str, source: Source) -> Column:
    text = F.col(raw).cast("string")
    if source.payload_format == JSON:
        return F.when(raw_tweets.is_utf8(text), F.expr(f"trim(LEADING '{_BEFORE_JSON}' FROM CAST({raw} AS STRING))"))
    return raw_tweets.decoded(text)


def _fields(source: Source, headers: dict[str, list[str]]) -> Column:
    """A struct of text, id, timestamp, label (strings or null) and reason (null: usable) out of inner_text."""
    if source.payload_format == JSON:
        return _json_fields()
    if source.payload_format == CSV:
        return _struct(*_csv_fields(raw_tweets.COLUMNS, {"label": "target"}))
    if source.payload_format == CSV_HEADER:
        structs = [
            (F.col("inner_path") == path, _struct(*_csv_fields(columns, {}))) for path, columns in headers.items()
        ]
        none = _struct({}, F.lit("the file has no header"))
        return reduce(lambda rest, one: F.when(one[0], one[1]).otherwise(rest), structs, none)
    return _struct({"text": F.col("inner_text")}, F.lit(None))


def _json_fields() -> Column:
    parsed = F.from_json("inner_text", _FIELDS, _OPTIONS)
    text = parsed["text"]
    others = ["DOUBLE", "BOOLEAN", "STRUCT<none: STRING>", "ARRAY<STRING>"]
    is_other = [F.from_json("inner_text", f"text {kind}", _OPTIONS)["text"].isNotNull() for kind in others]
    another_type = F.when(text.rlike(_LOOKS_LIKE_ANOTHER_TYPE), reduce(lambda a, b: a | b, is_other)).otherwise(False)
    reason = (
        F.when(~F.col("inner_text").startswith("{"), "the message is not a JSON object")
        .when(parsed.isNull() | parsed["corrupt"].isNotNull(), "the message is broken JSON")
        .when(another_type, "text is not a string")
        .when(_goes_on("inner_text"), "the message goes on after its JSON object")
    )
    number = ~parsed["id"].isin(_BEYOND_DOUBLE)
    fields = {"text": text, "id": F.when(number, parsed["id"]), "timestamp": parsed["timestamp"]}
    return _struct({**fields, "label": parsed["label"]}, reason)


def _goes_on(column: str) -> Column:
    """Whether anything but white space follows a JSON object, which is all that from_json reads of a text.

    Few texts have a brace before their last byte and are parsed once more; octets are known, characters are counted.
    """
    ends_at_first = F.octet_length(F.substring_index(column, "}", 1)) + 1 == F.octet_length(column)
    pair = F.from_json(F.concat(F.lit("["), column, F.lit(",{}]")), "ARRAY<STRUCT<none: STRING>>", _OPTIONS)
    return F.when(ends_at_first, False).otherwise(~F.size(pair).eqNullSafe(2))


def _csv_fields(columns: list[str], aliases: dict[str, str]) -> tuple[dict[str, Column], Column]:
    schema = ", ".join(f"c{place} STRING" for place in range(len(columns)))
    parsed = raw_tweets.from_csv("inner_text", f"{schema}, corrupt STRING")
    found = {
        name: parsed[f"c{columns.index(aliases.get(name, name))}"]
        for name in ("text", "id", "timestamp", "label")
        if aliases.get(name, name) in columns
    }
    wrong = parsed["corrupt"].isNotNull() | raw_tweets.has_too_many_columns("inner_text")
    return found, F.when(wrong, f"the line has not {len(columns)} columns")


def _struct(fields: dict[str, Column], reason: Column) -> Column:
    columns = [
        fields.get(name, F.lit(None)).cast("string").alias(name) for name in ("text", "id", "timestamp", "label")
    ]
    return F.struct(*columns, reason.cast("string").alias("reason"))
