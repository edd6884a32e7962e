"""How a stream is doing, told from what it leaves in its checkpoint and its output; no Spark, no driver asked.

Modules in the order in which a report meets them: cli, streams (what is there), output (its Parquet), figures, verdict,
page. drain asks a stream to end.
"""
