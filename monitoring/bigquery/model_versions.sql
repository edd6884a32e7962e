-- What each model version predicted: from when to when, how much, how positive, and how right where labels exist.
--
-- first_ingest_time and last_ingest_time are those of the messages, by their source's clock.
-- Parameters: first_date, last_date (DATE): the partitions to read, both included.
SELECT
  model_name,
  model_version,
  MIN(ingest_time) AS first_ingest_time,
  MAX(ingest_time) AS last_ingest_time,
  COUNT(*) AS predictions,
  COUNT(*) / SUM(COUNT(*)) OVER () AS share,
  COUNTIF(sentiment = 'positive') / COUNT(*) AS positive_share,
  AVG(score) AS mean_score,
  COUNT(label) AS labelled,
  SAFE_DIVIDE(COUNTIF(prediction = label), COUNT(label)) AS accuracy
FROM sentiment.predictions
WHERE date BETWEEN @first_date AND @last_date
GROUP BY model_name, model_version
ORDER BY first_ingest_time, model_name, model_version;
