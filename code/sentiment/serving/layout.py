"""What those who write a stream's checkpoint with Spark and those who look at it without agree on: what lies where."""

INTENTS, WRITTEN, MANIFESTS = "intents", "written", "manifests"
EPOCHS = "epochs"
METADATA = "metadata"
"""Spark's own file with the id of the query."""

SETTINGS = "settings.json"
INPUT_TOPIC = "input-topic.json"
DRAIN = "control/drain"

SLOW_SECONDS = 120
"""A batch that takes longer, or a step that fails for longer, and its stream is not well."""

WAITING, OWNED, RELEASED = "waiting", "owned", "released"
"""What a driver's lease says of it."""


def dead_letters(output: str) -> str:
    """The folder of the dead letters, beside that of the predictions, where nobody names another."""
    return f"{output}-dead-letters"
