-- Messages that could not be scored, per day and reason, and their share of the day's messages.
--
-- example_source: where one of them can be found, as topic/partition/offset or path#row.
-- Parameters: first_date, last_date (DATE): the partitions to read, both included.
WITH dead AS (
  SELECT
    date,
    reason,
    COUNT(*) AS dead_letters,
    MAX(payload_length) AS longest_payload_bytes,
    MIN(source) AS example_source
  FROM sentiment.dead_letters
  WHERE date BETWEEN @first_date AND @last_date
  GROUP BY date, reason
),
scored AS (
  SELECT date, COUNT(*) AS predictions
  FROM sentiment.predictions
  WHERE date BETWEEN @first_date AND @last_date
  GROUP BY date
)
SELECT
  dead.date,
  dead.reason,
  dead.dead_letters,
  dead.dead_letters / (COALESCE(scored.predictions, 0) + SUM(dead.dead_letters) OVER (PARTITION BY dead.date))
    AS share_of_messages,
  dead.longest_payload_bytes,
  dead.example_source
FROM dead
LEFT JOIN scored ON scored.date = dead.date
ORDER BY dead.date, dead.dead_letters DESC, dead.reason;
