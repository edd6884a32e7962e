"""Streams that a user would write instead: no model, plain transform (to Kafka too), spark_udf. Spark's own sinks.

None of them promises what the suite's stream does: the append in foreachBatch doubles rows on a replay, and no row
names its model.
"""

import argparse
import os

import mlflow
from pyspark.ml import PipelineModel
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812

FIELDS = "id STRING, text STRING, timestamp STRING, label DOUBLE"


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["no-model", "transform", "transform-kafka", "spark-udf"])
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--per-batch", type=int, required=True)
    parser.add_argument("--model", required=True, help="folder of an MLflow model")
    parser.add_argument("--work", required=True, help="folder for output and checkpoint")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    spark = (
        SparkSession.builder.config("spark.jars", os.environ["SENTIMENT_JARS"])
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.memory", "4g")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "8")
        .getOrCreate()
    )
    messages = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", args.bootstrap)
        .option("subscribe", args.topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", args.per_batch)
        .load()
    )
    tweets = messages.select(F.from_json(F.col("value").cast("string"), FIELDS).alias("tweet"), "timestamp").select(
        "tweet.id", "tweet.text", "tweet.label", "timestamp"
    )
    output, checkpoint = f"{args.work}/out", f"{args.work}/checkpoint"
    if args.peer == "no-model":
        writer = messages.writeStream.format("parquet").option("path", output)
    elif args.peer.startswith("transform"):
        model = PipelineModel.load(f"{args.model}/sparkml")

        def append(batch: DataFrame, _number: int) -> None:
            scored = model.transform(batch).withColumn("score", vector_to_array(F.col("probability"))[1])
            scored = scored.drop("probability")
            if args.peer == "transform":
                scored.write.mode("append").parquet(output)
                return
            scored.persist()
            scored.write.mode("append").parquet(output)
            records = scored.select(F.col("id").alias("key"), F.to_json(F.struct("*")).alias("value"))
            sink = records.write.format("kafka").option("kafka.bootstrap.servers", args.bootstrap)
            sink.option("topic", "predictions").save()
            scored.unpersist()

        writer = tweets.writeStream.foreachBatch(append)
    else:
        score = mlflow.pyfunc.spark_udf(spark, args.model, result_type="double", env_manager="local")
        scored = tweets.withColumn("prediction", score(F.struct("text")))
        writer = scored.writeStream.format("parquet").option("path", output)
    writer.option("checkpointLocation", checkpoint).trigger(availableNow=True).start().awaitTermination()


if __name__ == "__main__":
    main()
