"""Serving: predictions from a stream, each once, each naming its model.

Modules in the order in which a batch meets them: service (the query's life), lease, sources, models, parsing,
scoring, files (Parquet and JSON lines), kafka, batch (the order of it all), metrics, audit.
"""
