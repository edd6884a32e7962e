"""Serving: predictions from a stream, each once, each naming its model.

Modules in the order in which a batch meets them: cli, places, settings, service (the query's life), checkpoint, lease,
swap and models (which model), batch (one at a time), attempt (the order of one), sources, parsing, scoring (by Spark),
tables with linear and json_records (in the driver), held, files, kafka, metrics.
audit and rescoring look at what came of it.
"""
