"""Takes spark-submit's arguments, shows them as JSON, and runs the main file with this Python: no JVM."""

import json
import os
import sys

words = sys.argv[1:]
options = []
while words[0].startswith("--"):
    options.append(words[:2])
    words = words[2:]
print(json.dumps({"options": options, "main": words}), flush=True)
os.execv(sys.executable, [sys.executable, "-u", *words])  # noqa: S606  as spark-submit becomes java
