-- How the scores of each model version are spread: ten equal bins of P(positive), and each bin's share of its version.
--
-- Bins without rows are left out; 1.0 belongs to the last one, from 0.9.
-- Parameters: first_date, last_date (DATE): the partitions to read, both included.
WITH bins AS (
  SELECT
    model_name,
    model_version,
    CASE WHEN score >= 1 THEN 9 ELSE CAST(FLOOR(score * 10) AS INT64) END AS bin
  FROM sentiment.predictions
  WHERE date BETWEEN @first_date AND @last_date
)
SELECT
  model_name,
  model_version,
  bin / 10 AS score_from,
  COUNT(*) AS predictions,
  COUNT(*) / SUM(COUNT(*)) OVER (PARTITION BY model_name, model_version) AS share
FROM bins
GROUP BY model_name, model_version, bin
ORDER BY model_name, LENGTH(model_version), model_version, bin;
