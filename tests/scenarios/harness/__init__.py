"""harness - what every scenario stands on: tests as functions, time limits, conditions to wait for, TAP.

A scenario is a file of tests/scenarios that ends in `harness.main()`. Each function named test_... is a test; the first line
of its docstring says what must hold and is its name in the report. What a test gives to at_exit() is undone when it ends,
last first, however it ends. Nothing waits for a time to pass: wait_until() polls a condition and has a deadline.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("ENLIGHT_BUILD", ROOT / "build-asan"))
PLAIN_BUILD = pathlib.Path(os.environ.get("ENLIGHT_PLAIN_BUILD", ROOT / "build"))
TEST_LIMIT_S = 120
POLL_S = 0.02


class Failure(AssertionError):
    """What should have held did not."""


class Skip(Exception):
    """The test cannot be run here; its text says why."""


class Overdue(BaseException):
    """The test's time is over. No `except Exception` of a test catches it."""


def check(condition, message, *details):
    """What must hold, in words; and what was seen instead."""
    if not condition:
        raise Failure("\n".join([message] + [str(detail) for detail in details]))


def equal(seen, expected, what):
    check(seen == expected, what, f"  seen:     {seen!r}"[:2000], f"  expected: {expected!r}"[:2000])


def wait_until(condition, what, seconds=30):
    """Polls until the condition gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Failure(f"after {seconds} s still not: {what}")
        time.sleep(POLL_S)


def run(command, expect=0, seconds=60, **options):
    """Runs a command to its end. Another exit status than expected fails the test with all it said."""
    command = [str(word) for word in command]
    options = {"text": True, "errors": "replace", "stdin": subprocess.DEVNULL, **options}
    if "input" in options:
        del options["stdin"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, **options)
    if expect is not None and done.returncode != expect:
        raise Failure(f"{' '.join(command)}\nexit status {done.returncode}, not {expect}\n{done.stdout}{done.stderr}")
    return done


def limit(seconds):
    """Gives a test another time limit than TEST_LIMIT_S."""
    def mark(function):
        function.limit_s = seconds
        return function
    return mark


def standards():
    """The folder of others' schemas and examples, which ENLIGHT_STANDARDS names; without it the test is skipped. One that is
    named and not there fails the test."""
    name = os.environ.get("ENLIGHT_STANDARDS")
    if not name:
        raise Skip("ENLIGHT_STANDARDS does not name the folder")
    check(pathlib.Path(name).is_dir(), f"ENLIGHT_STANDARDS names a folder: {name}")
    return pathlib.Path(name).resolve()


_undo = []


def at_exit(function, *arguments):
    """Does this when the test ends, however it ends; what was asked for last comes first."""
    _undo.append((function, arguments))


_witnesses = []


def on_failure(function):
    """When the test fails, what this returns is shown."""
    _witnesses.append(function)


def undo_all():
    """Returns what went wrong on the way."""
    trouble = []
    while _undo:
        function, arguments = _undo.pop()
        try:
            function(*arguments)
        except Exception as error:
            trouble.append(f"{getattr(function, '__qualname__', function)}: {error}")
    return trouble


def folder(name="scenario"):
    """A new folder of the test's own, removed at its end. Its path is short enough for a Unix socket in it."""
    path = pathlib.Path(tempfile.mkdtemp(prefix=f"enl-{name}-"))
    if not os.environ.get("ENLIGHT_KEEP"):
        at_exit(shutil.rmtree, path)
    return path


def _overdue(*_):
    raise Overdue()


def _run_test(function):
    """Returns what went wrong, or nothing, and why the test was skipped, if it was."""
    seconds = getattr(function, "limit_s", TEST_LIMIT_S)
    trouble, skipped = [], None
    signal.signal(signal.SIGALRM, _overdue)
    signal.alarm(seconds)
    try:
        function()
    except Skip as reason:
        skipped = str(reason)
    except Overdue:
        trouble += [f"not done after {seconds} s"] + traceback.format_exc().split("\n")
    except Exception as error:
        where = [f"{frame.filename}:{frame.lineno}: {frame.line}" for frame in traceback.extract_tb(error.__traceback__)]
        trouble += [f"{type(error).__name__}: {error}" if not isinstance(error, Failure) else str(error)] + where
    finally:
        signal.alarm(0)
    if trouble:
        trouble += [text for witness in _witnesses for text in witness().split("\n")]
    _witnesses.clear()
    return trouble + undo_all(), skipped


def main():
    """Runs the tests of the scenario, or those named on the command line, and writes TAP."""
    module = sys.modules["__main__"]
    tests = [value for name, value in vars(module).items() if name.startswith("test_") and callable(value)]
    if len(sys.argv) > 1:
        tests = [test for test in tests if test.__name__ in sys.argv[1:]]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        sentence = (test.__doc__ or test.__name__).strip().split("\n")[0].rstrip(".")
        trouble, skipped = _run_test(test)
        failed += bool(trouble)
        reason = f" # SKIP {skipped}" if skipped and not trouble else ""
        print(f"{'not ok' if trouble else 'ok'} {number} - {sentence}{reason}", flush=True)
        for line in "\n".join(trouble).split("\n") if trouble else ():
            print("# " + line, flush=True)
    sys.exit(1 if failed else 0)
