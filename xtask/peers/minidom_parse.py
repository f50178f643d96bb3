"""Parses every sequence file of a folder with minidom and prints the seconds that took."""

import pathlib
import sys
import time
import xml.dom.minidom

texts = [path.read_bytes() for path in sorted(pathlib.Path(sys.argv[1]).glob("*.seq"))]
started = time.perf_counter()
for text in texts:
    xml.dom.minidom.parseString(text).unlink()
print(time.perf_counter() - started)
