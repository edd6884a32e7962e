"""produce_tweets.py and consume_predictions.py against a real broker, and what their files and records may hold."""

import gzip
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import consume_predictions
import produce_tweets
import pytest
from broker import Broker
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from services import free_port

from sentiment import jobs, kafka_clients, prediction_views, tweet_files
from sentiment.jobs import DataError
from sentiment.tweet_files import Line, Tweet

CODE = Path(produce_tweets.__file__).parent
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def topic(broker: Broker, request: pytest.FixtureRequest) -> str:
    """An empty topic of the test's own with 3 partitions."""
    name = f"t{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}"
    broker.make_topics({name: 3})
    return name


@pytest.fixture
def tweets(tmp_path: Path) -> Path:
    path = tmp_path / "tweets.csv"
    rows = [
        '"4","11","","NO_QUERY","u","I love it"',
        '"0","","","NO_QUERY","u","bad ""day"", really"',
        '"2","13","","NO_QUERY","u","neither"',
        "no tweet",
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def produce(broker: Broker, topic: str, path: Path, *more: str) -> None:
    where = ["--kafka-bootstrap", broker.bootstrap, "--kafka-topic", topic]
    produce_tweets.main(["--input", str(path), *where, "--rate", "0", *more])


def consume(capsys: pytest.CaptureFixture[str], broker: Broker, topic: str, *more: str) -> tuple[list[Any], str]:
    """The records that --once prints as JSON, and the summary."""
    capsys.readouterr()
    where = ["--kafka-bootstrap", broker.bootstrap, "--kafka-topic", topic]
    consume_predictions.main([*where, "--once", "--json", *more])
    done = capsys.readouterr()
    return [json.loads(line) for line in done.out.splitlines()], done.err.strip()


@pytest.fixture
def started() -> Iterator[Start]:
    """Starts a script in the background; none outlives its test."""
    processes: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(CODE / script), *arguments]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def run(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CODE / script), *arguments]
    return subprocess.run(
        command,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def test_tweets_arrive_with_id_time_and_label(
    broker: Broker, topic: str, tweets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = datetime.now(UTC)
    produce(broker, topic, tweets, "--label")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"sent 3 messages to {topic} in ")
    assert lines[1:] == ["left out 1 lines that hold no tweet"]
    found, _ = consume(capsys, broker, topic)
    times = [datetime.fromisoformat(record.pop("timestamp")) for record in found]
    assert all(began <= when <= datetime.now(UTC) for when in times)
    made = "t" + hashlib.sha256(b'bad "day", really').hexdigest()[:16]
    assert sorted(found, key=lambda record: str(record["id"])) == [
        {"text": "I love it", "id": "11", "label": 1.0},
        {"text": "neither", "id": "13", "label": None},
        {"text": 'bad "day", really', "id": made, "label": 0.0},
    ]


def test_without_label_there_is_none_and_the_key_is_the_id(broker: Broker, topic: str, tweets: Path) -> None:
    produce(broker, topic, tweets)
    consumer = kafka_clients.committed_reader(broker.bootstrap, topic)
    batches = list(consume_predictions.batches(consumer, topic, "earliest", once=True))
    found = [json.loads(value or b"") for batch in batches for value in batch]
    assert [sorted(record) for record in found] == [["id", "text", "timestamp"]] * 3
    consumer.seek_to_beginning()
    records = [record for part in consumer.poll(timeout_ms=5000).values() for record in part]
    consumer.close()
    assert records
    assert all(record.key.decode() == json.loads(record.value)["id"] for record in records)


def test_limit_loop_and_shuffle(broker: Broker, topic: str, tweets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    produce(broker, topic, tweets, "--limit", "2")
    produce(broker, topic, tweets, "--limit", "7", "--loop", "--shuffle")
    assert len(consume(capsys, broker, topic)[0]) == 9
    assert len(consume(capsys, broker, topic, "--limit", "4")[0]) == 4


def test_the_rate_holds(broker: Broker, topic: str, tweets: Path) -> None:
    began = time.monotonic()
    produce(broker, topic, tweets, "--limit", "21", "--loop", "--rate", "20")
    assert 1.0 <= time.monotonic() - began < 3.0


def test_a_tweet_too_long_for_kafka_ends_it_by_name(
    broker: Broker, topic: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text('{"text": "short", "id": 1}\n' + json.dumps({"text": "x" * 2_000_000, "id": "whale"}), "utf-8")
    with pytest.raises(DataError, match=r"^--input: the tweet whale is too long for Kafka"):
        produce(broker, topic, path)
    assert capsys.readouterr().out.startswith(f"sent 1 messages to {topic}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_producer_tells_what_was_acknowledged(
    started: Start, broker: Broker, topic: str, tweets: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--kafka-bootstrap", broker.bootstrap, "--kafka-topic", topic]
    process = started("produce_tweets.py", "--input", str(tweets), *where, "--loop", "--rate", "50")
    until = time.monotonic() + 30
    while not consume(capsys, broker, topic)[0]:
        assert time.monotonic() < until
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "produce_tweets.py: interrupted\n")
    assert int(out.split()[1]) == len(consume(capsys, broker, topic)[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_the_message_on_its_way_is_counted(number: signal.Signals) -> None:
    counted, before = [], signal.getsignal(number)

    def sends_two() -> None:
        with produce_tweets.Interruptions() as interruptions:
            for message in ("one", "two"):
                with interruptions.held_back():
                    signal.raise_signal(number)
                    counted.append(message)

    with pytest.raises(KeyboardInterrupt):
        sends_two()
    assert (counted, signal.getsignal(number)) == (["one"], before)


def test_messages_that_are_never_acknowledged_are_no_success(
    tmp_path: Path, tweets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = Broker(tmp_path / "kafka", free_port(), free_port())
    broker.start()
    short = {"linger_ms": 1000, "delivery_timeout_ms": 3000, "request_timeout_ms": 1500, "max_block_ms": 3000}
    monkeypatch.setattr(produce_tweets, "SETTINGS", short)
    monkeypatch.setattr(produce_tweets, "DELIVERY_SECONDS", 5)
    finish = produce_tweets.Sender.finish

    def killed_before(sender: produce_tweets.Sender) -> None:
        broker.kill()
        finish(sender)

    monkeypatch.setattr(produce_tweets.Sender, "finish", killed_before)
    try:
        broker.make_topics({"lost": 1})
        with pytest.raises(DataError, match=r"^--kafka-topic lost: "):
            produce(broker, "lost", tweets)
    finally:
        broker.kill()
    assert capsys.readouterr().out.startswith("sent 0 messages to lost")


def test_an_aborted_or_open_transaction_is_not_shown(
    broker: Broker, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=f"{topic}-a") as producer:
        producer.init_transactions()
        for word, is_kept in (("kept", True), ("aborted", False), ("kept too", True), ("aborted too", False)):
            producer.begin_transaction()
            for part in range(3):
                producer.send(topic, json.dumps({"sentiment": word, "model_version": "1"}).encode(), partition=part)
            producer.commit_transaction() if is_kept else producer.abort_transaction()
        producer.begin_transaction()
        producer.send(topic, b'{"sentiment": "open"}', partition=1)
        producer.flush()
        found, summary = consume(capsys, broker, topic)
        producer.abort_transaction()
    assert sorted(record["sentiment"] for record in found) == ["kept"] * 3 + ["kept too"] * 3
    assert summary == "6 predictions, kept: 3, kept too: 3, model version 1: 6"


def test_broken_records_are_counted_and_change_nothing_else(
    broker: Broker, topic: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"sentiment": "positive", "score": 0.98765, "model_version": 3, "text": "red \x1b[31malert\n[bold]"}
    records = [None, b"", b"\xff\xfe", b"[1]", b"{", b"[" * 100_000, b'{"score": {"a": 1}}', json.dumps(good).encode()]
    with KafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        for record in records:
            producer.send(topic, record, key=b"k", partition=0)
    found, summary = consume(capsys, broker, topic)
    assert found == [{"score": {"a": 1}}, good]
    assert summary == "8 predictions, ?: 1, positive: 1, unreadable: 6, model version 3: 1, model version ?: 1"
    consume_predictions.main(["--kafka-bootstrap", broker.bootstrap, "--kafka-topic", topic, "--once"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == "positive   0.988  3    red [31malert [bold]"
    assert "\x1b" not in "".join(lines)


def test_characters_that_the_terminal_lacks_are_shown_by_number(broker: Broker, topic: str) -> None:
    record = b'{"text": "half \\ud800, \xe2\x9d\xa4", "sentiment": "positive"}'
    with KafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        producer.send(topic, record).get(timeout=20)
    where = {"KAFKA_BOOTSTRAP": broker.bootstrap, "PYTHONIOENCODING": "latin-1"}
    plain = run("consume_predictions.py", "--kafka-topic", topic, "--once", **where)
    assert plain.stdout.splitlines()[0].endswith("half , \\u2764")
    as_json = run("consume_predictions.py", "--kafka-topic", topic, "--once", "--json", **where)
    assert json.loads(as_json.stdout)["text"] == "half \ud800, ❤"
    assert (plain.returncode, as_json.returncode) == (0, 0)


def test_the_live_view_begins_at_the_end_and_ctrl_c_ends_it_with_the_counts(
    started: Start, broker: Broker, topic: str
) -> None:
    new = b'{"sentiment": "negative", "score": 0.5, "model_version": "7", "text": "new"}'
    with KafkaProducer(bootstrap_servers=broker.bootstrap) as producer:
        producer.send(topic, b'{"sentiment": "old"}').get(timeout=20)
        process = started("consume_predictions.py", "--kafka-bootstrap", broker.bootstrap, "--kafka-topic", topic)
        assert process.stdout is not None
        until = time.monotonic() + 40
        while not select.select([process.stdout], [], [], 0.5)[0]:  # it shows only what comes after its start
            assert time.monotonic() < until
            producer.send(topic, new).get(timeout=20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    lines = out.splitlines()
    count = len(lines) - 1
    assert (process.returncode, err) == (0, "")
    assert lines[:-1] == ["negative   0.500  7    new"] * count
    assert lines[-1] == f"{count} predictions, negative: {count}, model version 7: {count}"


@pytest.mark.parametrize("start", ["earliest", "latest"])
def test_partitions_that_a_topic_is_given_later_are_read_too_and_no_record_twice(
    broker: Broker, topic: str, start: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KafkaConsumer.DEFAULT_CONFIG, "metadata_max_age_ms", 300)
    consumer = kafka_clients.committed_reader(broker.bootstrap, topic)
    until = time.monotonic() + 20
    with KafkaProducer(bootstrap_servers=broker.bootstrap, metadata_max_age_ms=300) as producer:

        def send(value: bytes, part: int) -> None:
            producer.send(topic, value, partition=part).get(timeout=20)

        def goes_on() -> bool:
            """Asked when the consumer has its partitions; the topic gets two more then."""
            if 4 not in producer.partitions_for(topic):
                admin = AdminClient({"bootstrap.servers": broker.bootstrap})
                admin.create_partitions([NewPartitions(topic, 5)])[topic].result(timeout=20)
                while 4 not in producer.partitions_for(topic):
                    time.sleep(0.1)
                send(b"new", 4)
            return time.monotonic() < until

        monkeypatch.setattr(jobs, "is_heard", goes_on)
        send(b"old", 0)
        shown = consume_predictions.batches(consumer, topic, start, once=False)
        expected = [b"new", b"old"] if start == "earliest" else [b"new"]
        found: list[bytes | None] = []
        while len(found) < len(expected):
            found += next(shown)
        send(b"more of the old one", 0)
        send(b"more of the new one", 4)
        until = time.monotonic() + 2
        found += [value for values in shown for value in values]
        assert sorted(map(str, found)) == sorted(map(str, [*expected, b"more of the old one", b"more of the new one"]))
    consumer.close()


def test_the_live_view_ends_when_nobody_reads_it_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    part = TopicPartition("topic", 0)
    consumer = Mock(**{"partitions_for_topic.return_value": {0}, "end_offsets.return_value": {part: 0}})
    consumer.poll.return_value = {part: [Mock(value=b"new")]}
    values = consume_predictions.batches(consumer, "topic", "latest", once=False)
    assert next(values) == [b"new"]
    monkeypatch.setattr(jobs, "is_heard", lambda: False)
    assert list(values) == []


def test_the_table_holds_the_latest_and_takes_no_text_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    tally = prediction_views.Tally()
    with prediction_views.Table("predictions", tally) as view:
        for number in range(20):
            record = {"sentiment": "positive", "score": 1, "model_version": "2", "text": f"[red]tweet {number}"}
            prediction = prediction_views.read(json.dumps(record).encode())
            tally.add(prediction)
            view.show(prediction)
        view.refresh()
    drawn = capsys.readouterr().out
    assert "[red]tweet 19" in drawn
    assert "[red]tweet 4" not in drawn
    assert "20 predictions" in drawn


def test_a_score_beyond_every_float_is_shown_as_none() -> None:
    assert prediction_views.read(b'{"score": 1%s}' % (b"0" * 400)).score == "?"


def test_the_table_takes_no_sentiment_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    tally = prediction_views.Tally()
    with prediction_views.Table("topic on [::1]:9092", tally) as view:
        tally.add(prediction_views.read(b'{"sentiment": "[/x]"}'))
        view.refresh()
    drawn = capsys.readouterr().out
    assert "topic on [::1]:9092" in drawn
    assert "[/x]: 1" in drawn


@pytest.mark.parametrize("script", ["produce_tweets.py", "consume_predictions.py"])
def test_a_topic_that_is_not_there_gets_one_line(script: str, broker: Broker, tweets: Path) -> None:
    more = ["--input", str(tweets)] if script == "produce_tweets.py" else []
    missing = run(script, *more, "--kafka-topic", "nowhere", KAFKA_BOOTSTRAP=broker.bootstrap)
    line = f"--kafka-topic nowhere: want a topic of {broker.bootstrap}, found none of that name"
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", f"{script}: error: {line}\n")


@pytest.mark.parametrize("main", [produce_tweets.main, consume_predictions.main])
def test_a_broker_that_never_answers_is_not_waited_for_for_ever(
    main: Callable[[list[str]], None], tweets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 2 * kafka_clients.CONNECT_SECONDS < 60
    monkeypatch.setattr(kafka_clients, "CONNECT_SECONDS", 2)
    more = ["--input", str(tweets)] if main is produce_tweets.main else []
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections and never answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DataError) as caught:
            main(["--kafka-bootstrap", address, *more])
    assert str(caught.value).startswith(f"--kafka-bootstrap {address}: want a Kafka broker, got no answer: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--kafka-bootstrap", "somewhere"], "want host:port"),
        (["--kafka-bootstrap", "a:1,b:x"], "want host:port"),
        (["--rate", "-1"], "want 0 or a number >= 1e-05"),
        (["--rate", "nan"], "want 0 or a number >= 1e-05"),
        (["--rate", "1e-11"], "want 0 or a number >= 1e-05"),
        (["--limit", "x"], "want a whole number >= 0"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        produce_tweets.parse_args(["--input", "x", *arguments])
    assert f"argument {arguments[0]}: {complaint}" in capsys.readouterr().err


def test_neither_script_loads_spark_or_mlflow() -> None:
    code = "import sys, produce_tweets, consume_predictions; print({'pyspark', 'mlflow', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=CODE, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'"0","1","","","","caf\xc3\xa9"\r\n', Tweet("1", "café", 0.0)),
        (b'"0","1","","","","caf\xe9"\n', Tweet("1", "café", 0.0)),
        (b'"4"," 7 ","","","","a\x00\x80b"', Tweet("7", "a\x00\x80b", 1.0)),
        (b"2,5,,,,plain", Tweet("5", "plain", None)),
        (b'"3","1","","","","unknown target"', None),
        (b'"0","1","","","","  "', None),
        (b'"0","1","","","","goes on', None),
        (b'"0","1","","","text"', None),
        (b'"target","id","date","flag","user","text"', None),
        (b'"0","1","","","","' + b"y" * 200_000 + b'"', Tweet("1", "y" * 200_000, 0.0)),
    ],
)
def test_a_csv_line_is_read_as_training_reads_it(raw: bytes, expected: Tweet | None) -> None:
    assert tweet_files.parse(Line(raw, is_json=False)) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"text": "a", "id": 5, "label": 1}', Tweet("5", "a", 1.0)),
        (b'{"text": "a", "id": "x", "label": true, "other": []}', Tweet("x", "a", None)),
        (b'{"text": "a", "id": "x", "label": 4}', Tweet("x", "a", None)),
        (b'{"text": "a"}', Tweet("t" + hashlib.sha256(b"a").hexdigest()[:16], "a", None)),
        (b'{"text": 1}', None),
        (b'{"text": " "}', None),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_a_json_line_is_a_tweet_when_it_has_a_text(raw: bytes, expected: Tweet | None) -> None:
    assert tweet_files.parse(Line(raw, is_json=True)) == expected


def test_lines_end_where_spark_ends_them(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf0,1,,,,a\r0,2,,,,b\r\n\r0,3,,,,c\x0b\x1c\xc2\x85d\n0,4,,,,e")
    found = [tweet_files.parse(line) for line in tweet_files.lines([tmp_path / "a.csv"])]
    assert [(tweet.id, tweet.text) for tweet in found if tweet] == [
        ("1", "a"),
        ("2", "b"),
        ("3", "c\x0b\x1c\x85d"),
        ("4", "e"),
    ]


def test_files_are_found_below_a_folder_and_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "deep").mkdir()
    for name in (".hidden/a.csv", "notes.txt", ".b.csv"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "deep" / "c.csv").write_bytes(b"\xef\xbb\xbf0,1,,,,c\n\n")
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(b'{"text": "d", "id": 2}'))
    files = tweet_files.find(tmp_path)
    assert [path.name for path in files] == ["d.jsonl.gz", "c.csv"]
    found = [tweet_files.parse(line) for line in tweet_files.lines(files)]
    assert sorted(tweet.id for tweet in found if tweet) == ["1", "2"]
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(b"0,1,,,,c\n" * 1000)[:-10])
    with pytest.raises(DataError, match=r"cut\.csv\.gz: want a file that can be read to its end"):
        list(tweet_files.lines([tmp_path / "cut.csv.gz"]))
    for place in (tmp_path / "nowhere", tmp_path / "notes.txt"):
        with pytest.raises(DataError, match="want a file that ends in"):
            tweet_files.find(place)


def test_an_input_without_a_tweet_is_told_even_in_a_loop(broker: Broker, topic: str, tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("no tweet\n", encoding="utf-8")
    with pytest.raises(DataError, match="want tweets, found none"):
        produce(broker, topic, tmp_path / "none.csv", "--loop")
