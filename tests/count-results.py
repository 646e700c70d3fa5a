#!/usr/bin/python3
"""Counts the test cases of a run of tests/run.sh, names those that failed, and prints the line that ends it.

usage: count-results.py FOLDER

In FOLDER each stage has a folder with meson.json and meson.junit.xml, as `meson test` writes them, and an XML file a
pytest run; or a file `passed` or `failed`. A line of FOLDER/broken is something that could not even begin.
"""

import json
import pathlib
import sys
from xml.etree import ElementTree


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)

    def suite(self, stage, suite):
        """Adds a testsuite element; returns how many of its cases failed."""
        before = self.failed
        # pytest writes a case twice when it failed and its end failed as well.
        cases = {}
        for case in suite.iter("testcase"):
            name = f"{case.get('classname', '')} {case.get('name', '')}"
            children = {child.tag for child in case}
            outcome = "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
            if cases.get(name) != "failed":
                cases[name] = outcome
        for name, outcome in cases.items():
            if outcome == "failed":
                self.fail(f"{stage}: {name}")
            elif outcome == "skipped":
                self.skipped += 1
            else:
                self.passed += 1
        return self.failed - before


def parse(path):
    try:
        return ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None


def count_meson(count, folder):
    """Every test that meson ran: by its cases where they are known, else as one case."""
    document = parse(folder / "meson.junit.xml")
    suites = {} if document is None else {s.get("name"): s for s in document.iter("testsuite")}
    with open(folder / "meson.json") as lines:
        for line in lines:
            test = json.loads(line)
            name, result = test["name"], test["result"]
            by_pytest = parse(folder / f"test_{name.split()[-1]}.xml")
            by_tap = suites.get(f"gssfs.{name}")
            found = by_pytest if by_pytest is not None else by_tap
            failed = 0 if found is None else count.suite(folder.name, found)
            if result in ("OK", "EXPECTEDFAIL"):
                count.passed += found is None
            elif result == "SKIP":
                count.skipped += found is None
            elif not failed:
                # It crashed, or took too long: what it told before is not all.
                count.fail(f"{folder.name}: {name}: {result}")


def main():
    root = pathlib.Path(sys.argv[1])
    count = Count()
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        if (folder / "meson.json").exists():
            count_meson(count, folder)
        else:
            for path in sorted(folder.glob("test_*.xml")):
                suite = parse(path)
                if suite is None:
                    count.fail(f"{folder.name}: {path.stem}")
                else:
                    count.suite(folder.name, suite)
        count.passed += (folder / "passed").exists()
        if (folder / "failed").exists():
            count.fail(f"{folder.name}: {(folder / 'failed').read_text().strip()}")
    if (root / "broken").exists():
        for line in (root / "broken").read_text().splitlines():
            count.fail(line)
    if count.passed + count.failed == 0:
        count.fail("no test has run")
    if count.failures:
        print("Failed:")
        for name in count.failures:
            print(f"  {name}")
        print()
    skipped = f", {count.skipped} skipped" if count.skipped else ""
    print(f"{count.passed} passed, {count.failed} failed{skipped}")
    return 1 if count.failed else 0


sys.exit(main())
