"""What is wanted of each figure."""

from benchmarks.claims import (
    Claim,
    busier,
    compared,
    figure,
    growth,
    paired,
    peaks,
    per_million,
    seconds,
    speed,
    times,
    tree,
)
from benchmarks.figures import ALL_FITS, LINEAR_FITS, OURS, PLAIN_SPARK, SCIKIT, WHOLE

STREAM, STREAM_KAFKA = "ours: Parquet", "ours: Parquet and Kafka"
LIMIT, UDF = "no model, Parquet", "mlflow spark_udf"
FLAT = 1.1  # repeated runs on one machine differ by as much

CLAIMS = (
    Claim(
        "training",
        "four classifiers, whole process",
        "{:.0f} s",
        lambda s: seconds(compared(s), OURS, WHOLE),
        90,
    ),
    Claim(
        "linear-real",
        "the tweets as they are, features, LR and SVC: our seconds over scikit-learn's",
        "{:.1f}",
        lambda s: 1 / times(s["linear-real"]["steps"], LINEAR_FITS, SCIKIT),
        2,
    ),
    Claim(
        "training",
        "features and four fits: plain Spark's seconds over ours",
        "{:.1f}",
        lambda s: times(compared(s), ALL_FITS, PLAIN_SPARK),
        6,
        at_most=False,
    ),
    Claim(
        "linear-400k",
        "400 thousand rows, features, LR and SVC: scikit-learn's seconds over ours",
        "{:.2f}",
        lambda s: times(s["linear-400k"]["steps"], LINEAR_FITS, SCIKIT),
    ),
    Claim(
        "linear-1600k",
        "1.6 million rows, features, LR and SVC: scikit-learn's seconds over ours",
        "{:.2f}",
        lambda s: times(s["linear-1600k"]["steps"], LINEAR_FITS, SCIKIT),
        1.5,
        at_most=False,
    ),
    *(
        Claim(
            section,
            f"accuracy of {title} on {rows}: ours minus scikit-learn's",
            "{:+.4f}",
            paired(section, model),
            0,
            at_most=False,
        )
        for section, rows in (("linear-real", "the tweets as they are"), ("linear-1600k", "1.6 million rows"))
        for model, title in (("logisticregression", "LR"), ("linearsvc", "SVC"))
    ),
    *(
        Claim(
            "spread",
            f"accuracy of {title} on tweets of other days: ours minus scikit-learn's",
            "{:+.4f}",
            figure("spread", "spread", "paired_with_scikit_learn", model, "difference"),
            0,
            at_most=False,
        )
        for model, title in (("logisticregression", "LR"), ("linearsvc", "SVC"))
    ),
    Claim(
        "linear-1600k",
        "growth of peak memory from the tweets as they are to 1.6 million rows: ours over scikit-learn's",
        "{:.2f}",
        lambda s: growth(s, OURS) / growth(s, SCIKIT),
        1,
        beside="linear-real",
    ),
    *(
        Claim(
            section,
            f"peak memory at {rows} rows: ours over scikit-learn's",
            "{:.1f}",
            peaks(section, OURS, SCIKIT),
        )
        for section, rows in (("linear-400k", "400 thousand"), ("linear-1600k", "1.6 million"))
    ),
    *(
        Claim(
            "trees",
            f"accuracy of {title} minus LightGBM's best within the same seconds",
            "{:+.4f}",
            tree(name),
            0,
            at_most=False,
        )
        for name, title in (("randomforest", "the random forest"), ("gbt", "the boosted trees"))
    ),
    Claim(
        "cross-validation",
        "search of the whole grid over one fit per grid point and fold",
        "{:.2f}",
        figure("cross-validation", "ratio"),
        2.5,
    ),
    Claim(
        "linear-3200k",
        "seconds per million rows at 3.2 million over those at 400 thousand",
        "{:.2f}",
        lambda s: per_million(s["linear-3200k"]) / per_million(s["linear-400k"]),
        FLAT,
        beside="linear-400k",
    ),
    Claim("cluster", "share of the task seconds on the busier of two executors", "{:.2f}", busier, 0.6),
    Claim(
        "throughput",
        "this stream with Parquet over the limit",
        "{:.2f}",
        lambda s: speed(s, STREAM) / speed(s, LIMIT),
        0.75,
        at_most=False,
    ),
    Claim(
        "throughput",
        "this stream with Parquet and Kafka over the limit",
        "{:.2f}",
        lambda s: speed(s, STREAM_KAFKA) / speed(s, LIMIT),
        0.6,
        at_most=False,
    ),
    Claim(
        "throughput",
        "this stream with Parquet over spark_udf",
        "{:.1f}",
        lambda s: speed(s, STREAM) / speed(s, UDF),
        3,
        at_most=False,
    ),
    *(
        Claim(
            "latency-500",
            f"latency at 500 messages per second, {cut}",
            "{:.2f} s",
            figure("latency-500", "latency_seconds", cut),
            wanted,
        )
        for cut, wanted in (("p50", 1), ("p99", 2))
    ),
    *(
        Claim(
            "latency-5000",
            f"latency at 5,000 messages per second, {cut}",
            "{:.2f} s",
            figure("latency-5000", "latency_seconds", cut),
        )
        for cut in ("p50", "p99")
    ),
    Claim(
        "swaps",
        "median of batches with a model swap over that of the others",
        "{:.2f}",
        figure("swaps", "swaps", "ratio"),
        FLAT,
    ),
    Claim("swaps", "worst batch with a swap", "{:.2f} s", figure("swaps", "swaps", "worst_with_swap")),
    Claim(
        "backlog",
        "rows per second of the backlog over those of the throughput",
        "{:.2f}",
        lambda s: float(s["backlog"]["rows_per_second"]) / speed(s, STREAM_KAFKA),
        0.9,
        at_most=False,
        beside="throughput",
    ),
    *(
        Claim(
            section,
            f"{title}: JVM's memory in the last third over that in the middle third",
            "{:.2f}",
            figure(section, "memory", "jvm_mib", "ratio"),
            FLAT,
        )
        for section, title in (("backlog", "backlog"), ("soak", "soak"))
    ),
    Claim(
        "soak",
        "slope of the JVM's memory",
        "{:+.0f} MiB per hour",
        figure("soak", "memory", "jvm_mib", "slope_per_hour"),
    ),
    Claim(
        "soak",
        "live heap of the JVM at the end over that after a tenth of the time",
        "{:.2f}",
        figure("soak", "live_mib", "ratio"),
        FLAT,
    ),
    Claim(
        "soak",
        "batch seconds in the last third over those in the middle third",
        "{:.2f}",
        figure("soak", "batch_seconds", "ratio"),
        FLAT,
    ),
    Claim("soak", "files per hour", "{:.0f}", figure("soak", "files_per_hour")),
    Claim(
        "set-up",
        "fresh clone to its first report",
        "{:.1f} min",
        lambda s: float(s["set-up"]["setup_seconds"] + s["set-up"]["run_seconds"]) / 60,
    ),
    Claim("set-up", "the environment on the disk", "{:.0f} MiB", figure("set-up", "environment_mib")),
    Claim("set-up", "`make test`", "{:.1f} min", lambda s: float(s["set-up"]["test_seconds"]) / 60, 12),
)
