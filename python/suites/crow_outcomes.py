"""A pytest plugin: writes the outcome of every test to the file that CROW_OUTCOMES names, one line each."""

import os


_ORDER = ["error", "failed", "xfailed", "xpassed", "skipped", "passed"]
_outcomes = {}


def pytest_configure(config):
    try:
        from hypothesis import HealthCheck
        from hypothesis import settings
    except ImportError:
        return
    # A slow machine is no finding.
    settings.register_profile("crow", deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    settings.load_profile("crow")


def pytest_runtest_logreport(report):
    outcome = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xpassed" if outcome == "passed" else "xfailed"
    elif outcome == "failed" and report.when != "call":
        outcome = "error"
    _note(report.nodeid, outcome)


def pytest_collectreport(report):
    if report.outcome != "passed":
        _note(f"collecting {report.nodeid}", "error" if report.outcome == "failed" else report.outcome)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        return
    with open(os.environ["CROW_OUTCOMES"], "w", encoding="utf-8") as file:
        for nodeid, outcome in sorted(_outcomes.items()):
            file.write(f"{outcome}\t{nodeid.encode('unicode_escape').decode()}\n")


def _note(nodeid, outcome):
    before = _outcomes.get(nodeid, "passed")
    _outcomes[nodeid] = min(before, outcome, key=_ORDER.index)
