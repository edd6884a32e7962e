"""The queries of monitoring/bigquery/ over a folder of predictions, run by DuckDB, and the page that shows them."""
