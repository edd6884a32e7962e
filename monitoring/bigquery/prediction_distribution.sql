-- What was predicted per day: how many of each sentiment, the mean score, and how many rows the model was unsure about.
--
-- score: P(positive). unsure_share: of the rows with a score from 0.4 to 0.6.
-- Parameters: first_date, last_date (DATE): the partitions to read, both included.
SELECT
  date,
  COUNT(*) AS predictions,
  COUNTIF(sentiment = 'negative') AS negative,
  COUNTIF(sentiment = 'positive') AS positive,
  COUNTIF(sentiment = 'positive') / COUNT(*) AS positive_share,
  AVG(score) AS mean_score,
  COUNTIF(score BETWEEN 0.4 AND 0.6) / COUNT(*) AS unsure_share
FROM sentiment.predictions
WHERE date BETWEEN @first_date AND @last_date
GROUP BY date
ORDER BY date;
