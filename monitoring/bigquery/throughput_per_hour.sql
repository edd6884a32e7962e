-- Predictions per hour, by the time at which the message entered its source; hours without any are rows with 0.
--
-- Of the time before the newest hour's 90 days only hours with predictions are rows: one message with a wrong time would
-- else make a row of every hour since.
-- Parameters: first_date, last_date (DATE): the partitions to read, both included.
WITH per_hour AS (
  SELECT
    TIMESTAMP_TRUNC(ingest_time, HOUR) AS hour,
    COUNT(*) AS predictions,
    COUNT(DISTINCT CONCAT(query_id, '/', CAST(batch_id AS STRING))) AS batches
  FROM sentiment.predictions
  WHERE date BETWEEN @first_date AND @last_date
  GROUP BY hour
),
hours AS (
  SELECT hour
  FROM UNNEST(GENERATE_TIMESTAMP_ARRAY(
    (SELECT GREATEST(MIN(per_hour.hour), TIMESTAMP_SUB(MAX(per_hour.hour), INTERVAL 90 DAY)) FROM per_hour),
    (SELECT MAX(per_hour.hour) FROM per_hour),
    INTERVAL 1 HOUR
  )) AS hour
  UNION DISTINCT
  SELECT per_hour.hour
  FROM per_hour
)
SELECT
  hours.hour,
  COALESCE(per_hour.predictions, 0) AS predictions,
  COALESCE(per_hour.predictions, 0) / 3600 AS predictions_per_second,
  COALESCE(per_hour.batches, 0) AS batches
FROM hours
LEFT JOIN per_hour ON per_hour.hour = hours.hour
ORDER BY hours.hour;
