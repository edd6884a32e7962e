"""What lies where in a stream's checkpoint, for those who write it with Spark and those who look at it without."""

INTENTS, WRITTEN, MANIFESTS = "intents", "written", "manifests"
EPOCHS = "epochs"
METADATA = "metadata"
"""Spark's own file with the id of the query."""

SETTINGS = "settings.json"
DRAIN = "control/drain"

WAITING, OWNED, RELEASED = "waiting", "owned", "released"
"""What a driver's lease says of it."""
