#!/usr/bin/env python
"""Prints what `import keras_resnet` adds to `import keras`, and how long ResNet152 takes to build beside Keras' own.

Medians over fresh processes, and over interleaved builds in each, on the backend that KERAS_BACKEND names.
"""

import json
import statistics
import subprocess
import sys

RUN = """
import json, time

start = time.perf_counter()
import keras
between = time.perf_counter()
import keras_resnet.models.networks
end = time.perf_counter()


def build(network):
    start = time.perf_counter()
    network(weights=None)
    keras.backend.clear_session()
    return time.perf_counter() - start


peers = (keras_resnet.models.ResNet152, keras.applications.ResNet152)
for network in peers:
    build(network)
pairs = []
for turn in range(6):
    both = {network: build(network) for network in (peers if turn % 2 else peers[::-1])}
    pairs.append([both[network] for network in peers])
print(json.dumps({"keras": between - start, "ours": end - between, "pairs": pairs}))
"""

runs = []
for _ in range(5):
    result = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    runs.append(json.loads(result.stdout.splitlines()[-1]))
ours, theirs = (statistics.median(run[key] for run in runs) for key in ("ours", "keras"))
ratio = statistics.median(mine / other for run in runs for mine, other in run["pairs"])
print(f"import keras: {1000 * theirs:.0f} ms; import keras_resnet after it: {1000 * ours:.0f} ms")
print(f"build ResNet152: {ratio:.2f} times keras.applications' time")
