"""What tests/run does with a command line that is wrong."""

import harness
from harness import check, equal

RUN = harness.ROOT / "tests/run"


def test_wrong_names():
    """A name that does not exist, beside one that does or not, and an unknown option end with 64 before anything is built"""
    log = harness.ROOT / "build-asan/.ninja_log"
    before = log.stat().st_mtime_ns if log.exists() else None
    for words, wanted in ((["bogus"], "there is no bogus"), (["wire", "bogus", "unit/none"], "there is no bogus, unit/none"),
                          (["analyse/none"], "there is no analyse/none"), (["--bogus"], "--bogus"), (["fuzz", "--minutes", "1", "none"], "nothing to fuzz is called none"),
                          (["wire", "--minutes", "1"], "--minutes goes with fuzz")):
        done = harness.run([RUN, *words], expect=64)
        check(wanted in done.stderr and "build" not in done.stdout, f"tests/run {' '.join(words)}", done.stdout, done.stderr)
    equal(log.stat().st_mtime_ns if log.exists() else None, before, "when something was built last")


if __name__ == "__main__":
    harness.main()
