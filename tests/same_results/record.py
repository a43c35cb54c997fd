"""Run all cases and write their numbers to golden.json beside this file: python record.py, before a change."""

import json
import time
from pathlib import Path

import numpy as np
from cases import CASES, FLOAT64


def rounded(values, digits):
    """Nested lists of the values at so many significant digits."""
    if np.ndim(values):
        return [rounded(value, digits) for value in values]
    return float(f"{values:.{digits}g}")


def main():
    """Write one line for each array, so that a difference shows where it is."""
    lines = []
    for name, case in CASES.items():
        began = time.perf_counter()
        digits = 13 if name in FLOAT64 else 9  # 9 tell any two float32 apart; half a unit of the 9th is 5e-9
        arrays = [f"    {json.dumps(key)}: {json.dumps(rounded(value, digits))}" for key, value in case().items()]
        lines.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(arrays) + "\n  }")
        print(f"{name}: {time.perf_counter() - began:.1f} s", flush=True)
    Path(__file__).with_name("golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
