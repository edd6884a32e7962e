"""What the serving benchmarks stand on: a broker, a topic full of tweets, a registered model, our stream's command."""

import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "code"), str(ROOT / "local")]

import jars  # noqa: E402
from broker import Broker  # noqa: E402
from services import free_port  # noqa: E402

from benchmarks import latency, processes  # noqa: E402
from sentiment import jobs, tracking, tweet_files  # noqa: E402

STREAM = ROOT / "code/streaming_serving_mlflow_hdfs_kafka.py"
MODEL = "twitter-sentiment-model-best"


class Bench:
    """A broker, a topic full of tweets and a registered model.

    Args:
        work: folder of this benchmark.
        rows: messages in the topic.
        per_batch: messages per batch.
        prepared: folder of the registry; made there unless an earlier benchmark has.
    """

    def __init__(self, work: Path, rows: int, per_batch: int, prepared: Path | None = None) -> None:
        self.work, self.rows, self.per_batch, self.topic = work, rows, per_batch, "tweets"
        self.prepared = (prepared or work / "prepared").resolve()
        self.broker = Broker(work / "kafka", free_port(), free_port())
        self.uri = f"sqlite:///{self.prepared / 'mlflow.db'}"
        self.env = {
            "DO_NOT_TRACK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "NO_GCE_CHECK": "true",
            "PYSPARK_PYTHON": sys.executable,
            "SENTIMENT_JARS": ",".join(jars.connector_jars()),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_SUBMIT_ARGS": "--master local[2] pyspark-shell",
        }

    def say(self, message: str) -> None:
        print(f"{datetime.now(UTC):%H:%M:%S}  {message}", flush=True)

    def run(self, name: str, *command: object, folder: Path | None = None) -> None:
        """Run something to its end, or say what it said last."""
        self.say(f"{name} ...")
        log = self.work / f"{name.replace(' ', '-').replace(':', '')}.log"
        measured = processes.run([sys.executable, *map(str, command)], log, folder=folder or self.work, env=self.env)
        if measured.exit_code:
            raise jobs.DataError(f"{name} ended with {measured.exit_code}: {log.read_text()[-1500:]}")

    def prepare(self, data: Path) -> None:
        """Train a model unless there is one, start the broker, fill the topic."""
        done = self.prepared / "trained"
        if not done.is_file():
            self.prepared.mkdir(parents=True, exist_ok=True)
            train = (ROOT / "code/sentiment_multimodel.py", "--input", data, "--output", self.prepared / "models")
            only = ("--models", "logisticregression")
            self.run("training", *train, "--mlflow-uri", self.uri, *only, folder=self.prepared)
            done.touch()
        self.broker.start()
        self.broker.make_topics({self.topic: 3, "live": 3, "predictions": 3, "live-predictions": 3})
        self.say(f"{self.rows:,} messages ...")
        latency.fill(self.broker.bootstrap, self.topic, texts(data), self.rows)

    def model_folder(self) -> Path:
        """Files of the registered model."""
        client = tracking.client(self.uri)
        version = client.get_model_version_by_alias(MODEL, "champion")
        return Path(client.get_model_version_download_uri(MODEL, version.version).removeprefix("file://"))

    def stream(self, place: Path, topic: str, *more: object) -> list[object]:
        """The command of our stream."""
        kafka = ("--source-type", "kafka", "--kafka-bootstrap", self.broker.bootstrap, "--kafka-topic", topic)
        model = ("--mlflow-uri", self.uri, "--model-name", MODEL)
        places = ("--output-path", place / "out", "--checkpoint", place / "checkpoint")
        return [STREAM, *kafka, *model, *places, *more]

    def background(self, name: str, command: list[object]) -> latency.Background:
        """A stream that runs beside a measurement."""
        return latency.Background([sys.executable, *map(str, command)], self.work / f"{name}.log", self.env)


def texts(data: Path) -> list[str]:
    """The texts of all tweets in a file."""
    found = map(tweet_files.parse, tweet_files.lines(tweet_files.find(data)))
    return [tweet.text for tweet in found if tweet is not None]
