"""What a version of a model is for: its alias in the registry, and the stage by which older clients know it."""

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
STAGES = {CHAMPION: "Production", CHALLENGER: "Staging"}
