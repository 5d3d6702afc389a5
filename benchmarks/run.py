"""`make bench`: every benchmark, one after the other: speed as ratios, a judge's collapse and its alarms."""

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

BENCHMARKS = ("engine_speed", "judge_collapse", "judge_alarms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    results = {name: import_module(name).measure() for name in BENCHMARKS}
    if asked.json:
        print(json.dumps(results, indent=2))
        return
    for name, result in results.items():
        print(name)
        print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
