-- Accuracy per day, over the predictions that have a label; days without labels are left out.
--
-- accuracy_low and accuracy_high: 95 % interval (Wilson 1927), wide where labels are few; it ends at 0 where none is right
-- and at 1 where all are, which the formula meets up to rounding only. Precision and recall are those of the positive
-- class, null where nothing was predicted or labelled positive.
-- Parameters: first_date, last_date (DATE): the partitions to read, both included.
WITH per_day AS (
  SELECT
    date,
    COUNT(*) AS predictions,
    COUNT(label) AS labelled,
    COUNTIF(prediction = label) AS correct,
    COUNTIF(prediction = 1 AND label = 1) AS true_positives,
    COUNTIF(prediction = 1 AND label IS NOT NULL) AS predicted_positive,
    COUNTIF(label = 1) AS labelled_positive
  FROM sentiment.predictions
  WHERE date BETWEEN @first_date AND @last_date
  GROUP BY date
),
shares AS (
  SELECT per_day.*, correct / labelled AS accuracy
  FROM per_day
  WHERE labelled > 0
)
SELECT
  date,
  predictions,
  labelled,
  accuracy,
  IF(
    correct = 0,
    0.0,
    (accuracy + 1.9208 / labelled - 1.96 * SQRT((accuracy * (1 - accuracy) + 0.9604 / labelled) / labelled))
      / (1 + 3.8416 / labelled)
  ) AS accuracy_low,
  IF(
    correct = labelled,
    1.0,
    (accuracy + 1.9208 / labelled + 1.96 * SQRT((accuracy * (1 - accuracy) + 0.9604 / labelled) / labelled))
      / (1 + 3.8416 / labelled)
  ) AS accuracy_high,
  SAFE_DIVIDE(true_positives, predicted_positive) AS precision,
  SAFE_DIVIDE(true_positives, labelled_positive) AS recall
FROM shares
ORDER BY date;
