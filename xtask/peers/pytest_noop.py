"""How many tests a second pytest runs when the tests do nothing.

Usage: pytest_noop.py COUNT. Prints the number of tests and the seconds from collection to the end
of the run, without the start of the interpreter. Nothing that pytest could do besides is on: no
cache, no report file, no plugins.
"""

import os
import pathlib
import sys
import tempfile
import time

os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

import pytest

TESTS = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_nothing(number):
    pass
"""


class Count:
    """Counts the tests that passed."""

    def __init__(self):
        self.passed = 0

    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed


def main():
    count = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "test_nothing.py")
        file.write_text(TESTS.format(count=count))
        passed = Count()
        options = ["-q", "-q", "-q", "--no-header", "--no-summary", "-p", "no:cacheprovider"]
        printed = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        started = time.perf_counter()
        status = pytest.main([*options, "--rootdir", folder, str(file)], plugins=[passed])
        seconds = time.perf_counter() - started
        sys.stdout.flush()
        os.dup2(printed, 1)
    if status != 0 or passed.passed != count:
        sys.exit(f"{passed.passed} of {count} tests passed, status {status}")
    print(count, f"{seconds:.6f}")


main()
