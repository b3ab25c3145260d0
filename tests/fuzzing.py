"""fuzzing - lets libFuzzer look for inputs that break something; called by tests/runner.py for `tests/run fuzz --minutes N`."""

import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FUZZED = ROOT / "build-fuzz"
FUZZED_OPTIONS = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dwerror=true",
                  "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined"]
TARGETS = ROOT / "tests" / "fuzz"
MEMORY_MB = 1024
INPUT_MAX = 4096  # bytes; a longer seed raises it for its target
INPUT_SECONDS = 20
PULSE_S = 30
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
WRONG = re.compile(r"ERROR: |does not hold: |runtime error: |Assertion .* failed")
# #2097152 pulse  cov: 138 ft: 271 corp: 25/5513b lim: 252 exec/s: 100 rss: 32Mb
STATUS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: (\d+).*?exec/s: (\d+)")


def names():
    return sorted(path.stem.removeprefix("fuzz_") for path in TARGETS.glob("fuzz_*.c"))


class Target:
    def __init__(self, name, minutes):
        self.name, self.seconds = name, minutes * 60
        self.executions = self.edges = self.features = 0
        self.speed = 0.0
        self.wrong = []  # what libFuzzer and the sanitizers said, shortly
        self.files = []  # inputs that show it
        self.log = FUZZED / "fuzz" / f"{name}.log"

    def command(self):
        found = FUZZED / "fuzz" / self.name  # inputs that reach something new; the next run goes on from them
        seeds = TARGETS / "corpus" / self.name
        found.mkdir(parents=True, exist_ok=True)
        longest = max([INPUT_MAX] + [path.stat().st_size for path in seeds.iterdir()])
        words = TARGETS / f"{self.name}.dict"
        return [str(FUZZED / "tests" / "fuzz" / f"fuzz_{self.name}"), f"-max_total_time={self.seconds:.0f}",
                f"-rss_limit_mb={MEMORY_MB}", f"-max_len={longest}", "-len_control=20",
                f"-timeout={INPUT_SECONDS}", "-print_final_stats=1",
                f"-artifact_prefix={FUZZED / 'fuzz'}/{self.name}-", *([f"-dict={words}"] if words.exists() else []),
                str(found), str(seeds)]

    def line(self, line):
        status = STATUS.match(line)
        if status:
            self.executions, self.edges, self.features = (int(status.group(i)) for i in (1, 2, 3))
        elif line.startswith("stat::number_of_executed_units:"):
            self.executions = int(line.split()[1])
        elif "Test unit written to " in line:
            self.files.append(line.split("Test unit written to ")[1].strip())
        elif WRONG.search(line):
            self.wrong.append(line.strip())

    def run(self):
        """Until the time is over or something is found."""
        start = pulse = time.monotonic()
        command = self.command()
        with self.log.open("w") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                                       errors="replace", cwd=FUZZED, env={**os.environ, **ENVIRONMENT})
            for line in process.stdout:
                log.write(line)
                self.line(line)
                if time.monotonic() - pulse >= PULSE_S:
                    pulse = time.monotonic()
                    self.say(f"{pulse - start:.0f} s, {self.executions} executions, {self.edges} edges, {self.features} features")
            code = process.wait()
        self.speed = self.executions / max(time.monotonic() - start, 1)
        if code != 0 and not self.wrong:
            self.wrong.append(f"exit status {code}; see {self.log}")
        if self.wrong:
            self.say("FOUND: " + self.wrong[0])
            for file in self.files:
                self.say(f"input: {file}\n      mend it, and keep it as {TARGETS.relative_to(ROOT)}/corpus/{self.name}/crash-WHAT")
        else:
            self.say(f"done, {self.executions} executions, nothing found")

    def say(self, text):
        print(f"fuzz {self.name}: {text}", flush=True)


def table(targets):
    width = max(len(t.name) for t in targets)
    print(f"\n{'target':{width}}  {'executions':>11}  {'a second':>8}  {'edges':>6}  {'features':>8}  findings")
    for t in targets:
        print(f"{t.name:{width}}  {t.executions:>11}  {t.speed:>8.0f}  {t.edges:>6}  {t.features:>8}  {len(t.wrong) and 1}")


def fuzz(report, build, chosen, minutes, jobs):
    """Builds with clang, fuzzes each target for so many minutes, `jobs` at a time, and reports one result for each."""
    os.environ["CC"] = "clang"  # of the set-up of this build folder, which is all that follows
    if not build(report, FUZZED, FUZZED_OPTIONS, ["fuzz"]):
        return
    targets = [Target(name, minutes) for name in chosen]
    (FUZZED / "fuzz").mkdir(exist_ok=True)
    waiting = queue.SimpleQueue()
    for target in targets:
        waiting.put(target)

    def work():
        while True:
            try:
                target = waiting.get_nowait()
            except queue.Empty:
                return
            target.run()

    threads = [threading.Thread(target=work) for _ in range(min(jobs, len(targets)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table(targets)
    print()
    sys.stdout.flush()
    for target in targets:
        report.add(f"fuzz/{target.name}", not target.wrong, "\n".join(target.wrong + target.files))
