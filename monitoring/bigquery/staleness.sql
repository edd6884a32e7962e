-- How old the newest prediction is: one row. is_stale is also true when there is none at all.
--
-- Predictions carry their source's time, so a stream that lags is as stale as one that stands still, and so is one that
-- nobody sends to. In a scheduled query as_of is CURRENT_TIMESTAMP().
-- Parameters: first_date, last_date (DATE): the partitions to read, both included; as_of (TIMESTAMP): the moment to
-- count from; max_age_seconds (INT64): an older newest prediction is stale.
SELECT
  COUNT(*) AS predictions,
  MAX(ingest_time) AS last_ingest_time,
  TIMESTAMP_DIFF(@as_of, MAX(ingest_time), SECOND) AS seconds_since,
  COALESCE(TIMESTAMP_DIFF(@as_of, MAX(ingest_time), SECOND) > @max_age_seconds, TRUE) AS is_stale
FROM sentiment.predictions
WHERE date BETWEEN @first_date AND @last_date;
