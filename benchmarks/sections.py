"""The sections of `make bench`: each is one command in a process of its own, with a full and a short form."""

from dataclasses import dataclass

ROWS_OF_LINEAR = (0, 400_000, 1_600_000, 3_200_000)
LARGEST_WITH_PEER = 1_600_000


@dataclass(frozen=True)
class Section:
    """One part of the benchmarks.

    Attributes:
        name: as `--only` takes it and as the figures are kept.
        title: what it measures.
        script: under benchmarks/.
        full: its arguments; {peer_limit}, {soak_minutes} and {model} stand for what `make bench` was told.
        short: arguments that go on top to have it done in a minute or so, for a trial: such figures mean nothing.
        minutes: how long the full form takes on two cores, roughly; beside {soak_minutes}, where it takes them.
        data: whether it takes --data.
    """

    name: str
    title: str
    script: str
    full: tuple[str, ...]
    short: tuple[str, ...]
    minutes: float
    data: bool = True


def linear(rows: int, minutes: float) -> Section:
    """LR and SVC on one number of rows; scikit-learn is left out where it would take more than this machine has."""
    skipped = () if rows <= LARGEST_WITH_PEER else ("--skip-scikit",)
    name = f"linear-{rows // 1000}k" if rows else "linear-real"
    title = f"LR and SVC on {rows:,} rows" if rows else "LR and SVC on the tweets as they are"
    short = ("--rows", "3000", "--heap", "2g")
    return Section(name, title, "linear.py", ("--rows", str(rows), *skipped), short, minutes)


def serving(name: str, title: str, parts: tuple[str, ...], short: tuple[str, ...], minutes: float) -> Section:
    """A part of serve.py."""
    return Section(name, title, "serve.py", ("--prepared", "{model}", *parts), short, minutes)


SECTIONS = (
    Section(
        "training",
        "four classifiers beside plain Spark and scikit-learn",
        "train.py",
        ("--peer-limit", "{peer_limit}"),
        ("--peer-limit", "5", "--heap", "2g"),
        14,
    ),
    *(linear(rows, minutes) for rows, minutes in zip(ROWS_OF_LINEAR, (1.5, 2, 5, 5.5), strict=True)),
    Section(
        "spread",
        "accuracy on tweets of days with both labels, beside scikit-learn",
        "spread.py",
        (),
        ("--draws", "1", "--models", "logisticregression", "--heap", "2g"),
        9,
    ),
    Section(
        "trees",
        "forest and boosted trees beside LightGBM",
        "trees.py",
        (),
        ("--peer-rounds", "5", "--heap", "2g"),
        3.5,
    ),
    Section(
        "cross-validation",
        "the grid's search beside one fit per grid point and fold",
        "crossvalidation.py",
        (),
        ("--max-rows", "2000"),
        4.5,
    ),
    Section(
        "cluster",
        "the same training on a standalone cluster of two executors",
        "cluster.py",
        (),
        ("--heap", "1g"),
        3,
    ),
    serving(
        "throughput",
        "rows per second of the stream and of what one would write instead",
        ("--skip", "latency,swaps", "--repeat", "3"),
        ("--rows", "16000", "--per-batch", "2000", "--repeat", "1"),
        15,
    ),
    serving(
        "latency-500",
        "Kafka to Kafka at 500 messages per second",
        ("--skip", "throughput,udf,swaps", "--rate", "500"),
        ("--live-seconds", "10"),
        2.5,
    ),
    serving(
        "latency-5000",
        "Kafka to Kafka at 5,000 messages per second",
        ("--skip", "throughput,udf,swaps", "--rate", "5000"),
        ("--live-seconds", "10", "--rate", "1000"),
        2.5,
    ),
    serving(
        "swaps",
        "batches with a model swap beside the others",
        ("--skip", "throughput,udf,latency", "--rows", "1000000"),
        ("--swaps", "3", "--rows", "60000"),
        2,
    ),
    Section(
        "backlog",
        "a backlog of one million messages",
        "endurance.py",
        ("backlog", "--prepared", "{model}", "--rows", "1000000", "--heap", "1g"),
        ("--rows", "40000"),
        1.5,
    ),
    Section(
        "soak",
        "2,000 messages per second for a long time",
        "endurance.py",
        ("soak", "--prepared", "{model}", "--minutes", "{soak_minutes}", "--heap", "1g"),
        ("--minutes", "2", "--interval", "5"),
        1,
    ),
    Section(
        "set-up",
        "a fresh clone to its first report, and its tests",
        "fresh_clone.py",
        (),
        ("--without-tests", "--train-args", "--models logisticregression"),
        19,
        data=False,
    ),
)
NAMES = tuple(section.name for section in SECTIONS)
