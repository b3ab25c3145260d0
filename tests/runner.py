"""runner - builds ENLIGHT, runs its test programs and counts single tests; called by tests/run.

Most test programs write TAP (https://testanything.org/tap-version-12-specification.html): those in C and each file of
tests/scenarios; of others the exit status counts. Each has a time limit, and nothing that it started may be left when it ends.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import fuzzing

ROOT = pathlib.Path(__file__).resolve().parent.parent
JOBS = os.cpu_count() or 1
SANITIZED = ROOT / "build-asan"
SANITIZED_OPTIONS = ["-Db_sanitize=address,undefined", "-Dwerror=true"]
PLAIN = ROOT / "build"
COVERED = ROOT / "build-coverage"
THREADED = ROOT / "build-tsan"
# Meson's limits are for an idle machine and no sanitizers.
SLOWNESS = 6
SCENARIO_LIMIT_S = 600
TAIL = 120  # lines of a failed program's standard error that are shown

SANITIZER_SETTINGS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
}


class Result:
    def __init__(self, name, passed, details="", skipped=None):
        self.name, self.passed, self.details = name, passed, details
        self.skipped = skipped  # why it was not run


class Report:
    """Results as they come in, from several threads: a line each, and how many of which kind."""

    def __init__(self):
        self.results = []
        self.lock = threading.Lock()

    def add(self, name, passed, details="", seconds=None, skipped=None):
        took = f"  ({seconds:.1f} s)" if seconds is not None and seconds >= 1 else ""
        with self.lock:
            self.results.append(Result(name, passed, details, skipped))
            if skipped is not None:
                print(f"SKIP  {name}: {skipped}", flush=True)
                return
            print(f"{'PASS' if passed else 'FAIL'}  {name}{took}", flush=True)
            if not passed:
                self.explain(details)

    def explain(self, details):
        for line in details.rstrip("\n").split("\n"):
            print("      " + line, flush=True)

    def finish(self):
        skipped = [r for r in self.results if r.skipped is not None]
        ran = [r for r in self.results if r.skipped is None]
        failed = [r for r in ran if not r.passed]
        if failed and len(ran) > len(failed):
            print("\nFailed:")
            for result in failed:
                print("  " + result.name)
        if skipped:
            print(f"\nSkipped, {len(skipped)}:")
            for result in skipped:
                print(f"  {result.name}: {result.skipped}")
        print(f"\n{len(ran) - len(failed)} passed, {len(failed)} failed", flush=True)
        return 1 if failed or not self.results else 0


class Program:
    """A test program: how to run it and what it belongs to."""

    def __init__(self, suite, name, command, environment, folder, limit_s, tap=True):
        self.suite, self.name, self.command = suite, name, command
        self.environment, self.folder, self.limit_s = environment, folder, limit_s
        self.tap = tap  # else it is one test, which its exit status decides

    @property
    def path(self):
        return f"{self.suite}/{self.name}"

    def matches(self, word):
        return word in (self.suite, self.name, self.path)


def run_quietly(command):
    """Runs a step that says nothing when it works; otherwise returns what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          cwd=ROOT)
    return None if done.returncode == 0 else f"$ {shlex.join(map(str, command))}\n{done.stdout}"


def set_up(folder, options):
    """Sets the build folder up unless it is; returns what went wrong."""
    if (folder / "build.ninja").exists():
        return None
    return run_quietly(["meson", "setup", str(folder), *options])


def compile_in(folder, targets):
    """Builds what is not up to date: on a terminal with ninja's own progress; returns what went wrong."""
    command = ["ninja", "-C", str(folder), *targets]
    if not sys.stdout.isatty():
        return run_quietly(command)
    done = subprocess.run(command, cwd=ROOT)
    return None if done.returncode == 0 else "the compiler's messages stand above"


def build(report, folder, options, targets=()):
    """Sets the folder up and builds the targets in it, or all. False: that failed, and a result says so."""
    start = time.monotonic()
    print(f"build {folder.name} ...", flush=True)
    trouble = set_up(folder, options) or compile_in(folder, targets)
    if trouble is not None:
        report.add(f"build/{folder.name}", False, trouble)
        return False
    print(f"build {folder.name}: {time.monotonic() - start:.0f} s", flush=True)
    return True


def build_sanitized(report):
    return build(report, SANITIZED, SANITIZED_OPTIONS)


def build_plain(report):
    return build(report, PLAIN, [])


def meson_programs(folder):
    """The tests of a build folder, from Meson's own list."""
    answer = subprocess.run(["meson", "introspect", "--tests", str(folder)], stdout=subprocess.PIPE, check=True, text=True)
    programs = []
    for test in json.loads(answer.stdout):
        suite = test["suite"][0].split(":")[-1] if test["suite"] else "other"
        programs.append(Program(suite, test["name"], test["cmd"], dict(test["env"]), test["workdir"] or str(folder),
                                test["timeout"] * SLOWNESS, test["protocol"] == "tap"))
    return programs


def scenario_programs(build_folder=SANITIZED):
    """Every file of tests/scenarios; what they share is the package harness."""
    folder = ROOT / "tests" / "scenarios"
    environment = {"ENLIGHT_BUILD": str(build_folder), "ENLIGHT_PLAIN_BUILD": str(PLAIN), "PYTHONDONTWRITEBYTECODE": "1"}
    return [Program("scenarios", path.stem, ["/usr/bin/python3", str(path)], environment, str(ROOT), SCENARIO_LIMIT_S)
            for path in sorted(folder.glob("*.py"))]


class Tap:
    """Reads what a program writes, line by line, and reports each test in it."""

    RESULT = re.compile(r"^(not )?ok\b\s*(\d+)?\s*-?\s*(.*)$")
    SKIP = re.compile(r"^(.*?)\s*# SKIP\b\s*(.*)$", re.I)
    CHECK = re.compile(r"^\S+:([^:]+):(\w+): (.*)$", re.S)  # file:case:test: message, as Check writes it

    def __init__(self, report, program):
        self.report, self.program = report, program
        self.tap = program.tap
        self.planned, self.seen, self.failed = None, 0, 0
        self.times = {}  # how often a name came: each row of a table has the name of its test
        self.comments = []
        self.pending = None
        self.last = time.monotonic()

    def read(self, lines):
        for line in lines:
            self.line(line.rstrip("\n"))

    def line(self, line):
        result = self.RESULT.match(line)
        if not self.tap:
            self.comments.append(line)
        elif result:
            self.flush()
            self.pending = (result.group(1) is None, result.group(3), time.monotonic())
        elif re.match(r"^1\.\.\d+", line):
            self.flush()
            self.planned = int(re.match(r"^1\.\.(\d+)", line).group(1))
        elif line.strip():
            self.comments.append(line[2:] if line.startswith("# ") else line)

    def flush(self):
        """Reports the test whose line was read: what follows it, up to the next, belongs to it."""
        if self.pending is None:
            return
        passed, text, now = self.pending
        self.pending = None
        skip = self.SKIP.match(text) if passed else None
        text = skip.group(1) if skip else text
        check = self.CHECK.match(text)
        name, message = (check.group(2), check.group(3)) if check else (text, "")
        self.seen += 1
        self.failed += not passed
        details = "\n".join(([message] if message else []) + self.comments)
        self.times[name] = self.times.get(name, 0) + 1
        number = f" #{self.times[name]}" if self.times[name] > 1 else ""
        self.report.add(f"{self.program.path}: {name}{number}", passed, details, now - self.last,
                        skip and (skip.group(2) or "no reason given"))
        self.comments, self.last = [], now


def left_behind(session):
    """Processes that live on in a session whose leader is gone."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.append((int(folder.name), (folder / "cmdline").read_text().replace("\0", " ").strip()))
        except (OSError, IndexError):
            continue  # it ended while we looked
    return found


def kill_all(processes):
    for pid, _ in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def run_program(report, program):
    """Runs one test program and reports its tests; its own death, silence or leavings count as one more that failed."""
    tap = Tap(report, program)
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        try:
            process = subprocess.Popen(program.command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL,
                                       text=True, errors="replace", cwd=program.folder, start_new_session=True,
                                       env={**os.environ, **SANITIZER_SETTINGS, **program.environment})
        except OSError as error:
            report.add(program.path, False, str(error))
            return
        # What it leaves running may hold the pipe open, so the end of the pipe is not the end of the program.
        reader = threading.Thread(target=tap.read, args=(process.stdout,))
        reader.start()
        try:
            code = process.wait(program.limit_s)
        except subprocess.TimeoutExpired:
            code = None
            process.kill()
            process.wait()
        leavings = left_behind(process.pid)
        kill_all(leavings)
        reader.join()
        tap.flush()
        errors.seek(0)
        tail = "".join(errors.readlines()[-TAIL:])

    trouble = []
    if code is None:
        trouble.append(f"not done after {program.limit_s} s")
    elif code < 0:
        trouble.append(f"ended by {signal.Signals(-code).name}")
    elif code != 0 and tap.failed == 0:
        trouble.append(f"exit status {code}")
    elif program.tap and tap.planned != tap.seen:
        trouble.append(f"{tap.seen} tests were run, {tap.planned} were planned")
    if leavings and code is not None:
        trouble.append("left running: " + "; ".join(f"{pid} {command}" for pid, command in leavings))
    if trouble:
        report.add(program.path + (": ends well" if program.tap else ""), False, "\n".join(trouble + tap.comments + [tail]))
    elif not program.tap:
        report.add(program.path, True)
    elif tap.failed and tail.strip():
        report.explain(tail)


def run_programs(report, programs):
    """All of them, as many at a time as there are cores, those that may take longest first."""
    order = sorted(programs, key=lambda p: -p.limit_s)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for done in [pool.submit(run_program, report, program) for program in order]:
            done.result()


# Analysis: every C file that meets bytes from outside, by the command it is compiled with. Not the tests: Check's macros leave
# a function in the middle, which none of the tools follows, and the tests run under the sanitizers anyway.
ANALYSED = ("node", "plugins")


def own_sources(folder):
    """(file, arguments) of each such file that the build compiles."""
    found = {}
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        file = (folder / entry["file"]).resolve()
        if file.suffix == ".c" and file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in ANALYSED:
            found[file] = shlex.split(entry["command"])
    return sorted(found.items())


def compiler_flags(arguments):
    """Of a compile command what matters to another tool: where things are and what is defined."""
    return [a for a in arguments if re.match(r"^-(I|D|isystem|std=)", a)]


def run_on_each(items, run):
    """Runs on every item, on all cores; returns what those that failed said."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return [said for said in pool.map(run, items) if said]


def run_tool(command, **options):
    done = subprocess.run(command, cwd=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)
    return done.returncode, done.stdout


def analyse_gcc(sources):
    """gcc's analysis of paths: double free, use after free, NULL, descriptors. Without its check for leaks: that of gcc 12
    does not follow realloc() and what is kept in a struct; LeakSanitizer and clang's analyser look for those."""
    def run(item):
        file, arguments = item
        code, said = run_tool(["gcc", *compiler_flags(arguments), "-O1", "-fanalyzer", "-Werror",
                               "-Wno-analyzer-malloc-leak", "-c", str(file), "-o", "/dev/null"])
        return said if code != 0 else ""
    return run_on_each(sources, run)


def analyse_tidy(sources):
    """clang-tidy with the checks of .clang-tidy, on all of our files."""
    def run(item):
        file, arguments = item
        code, said = run_tool(["clang-tidy", "--quiet", "--warnings-as-errors=*", str(file), "--",
                               *compiler_flags(arguments), "-Wno-unknown-warning-option"])
        return said if code != 0 else ""
    return run_on_each(sources, run)


def analyse_cppcheck(sources):
    """cppcheck; generated and system headers are left out, they are not ours to mend."""
    cache = PLAIN / "cppcheck"
    cache.mkdir(exist_ok=True)
    flags = sorted({a for _, arguments in sources for a in compiler_flags(arguments) if a.startswith("-D")})
    code, said = run_tool(["cppcheck", "-q", "-j", str(JOBS), f"--cppcheck-build-dir={cache}", "--error-exitcode=1",
                           "--enable=warning,performance,portability", "--inline-suppr", "--std=c11",
                           "-Djson_array_foreach(a,i,v)=while((i=at(a),v=json_array_get(a,i))!=0)",
                           "-Djson_object_foreach(o,k,v)=while((k=next(o),v=json_object_get(o,k))!=0)",
                           "--suppress=missingInclude", "--suppress=unmatchedSuppression",
                           "-I", str(ROOT / "node"), *flags,
                           *[str(file) for file, _ in sources]])
    return [said] if code != 0 else []


def analyse_format(sources):
    """Every C file and header looks as clang-format would have it."""
    files = [str(path) for folder in ("node", "plugins", "tests") for path in sorted((ROOT / folder).rglob("*.[ch]"))]
    code, said = run_tool(["clang-format", "--dry-run", "-Werror", *files])
    return [said] if code != 0 else []


ANALYSES = {
    "gcc": analyse_gcc,
    "clang-tidy": analyse_tidy,
    "cppcheck": analyse_cppcheck,
    "clang-format": analyse_format,
}


def analyse(report, names):
    if not build_plain(report):
        return
    sources = own_sources(PLAIN)
    for name in names:
        start = time.monotonic()
        said = ANALYSES[name](sources)
        report.add(f"analyse/{name}", not said, "\n".join(said), time.monotonic() - start)


# Of all lines, how many of a hundred must be reached: core by unit tests and simulation alone, the tree by scenarios as well.
CORE_AT_LEAST, TREE_AT_LEAST = 95, 85


def count_lines():
    """{file: (lines, lines that were reached)} of the node and its plugins, as gcovr counts them."""
    said = subprocess.run(["gcovr", "-r", str(ROOT), "--object-directory", str(COVERED), "--gcov-ignore-parse-errors", "-f", "node/",
                           "-f", "plugins/", "--json-summary", "-", str(COVERED)],
                          cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return {file["filename"]: (file["line_total"], file["line_covered"]) for file in json.loads(said.stdout)["files"]}


def share(lines, folder):
    """(lines, reached, per cent) of the files below a folder."""
    chosen = [counts for file, counts in lines.items() if file.startswith(folder)]
    total, reached = sum(c[0] for c in chosen), sum(c[1] for c in chosen)
    return total, reached, 100 * reached / max(total, 1)


def check_share(report, name, lines, folder, at_least):
    total, reached, percent = share(lines, folder)
    report.add(f"coverage/{name}: at least {at_least} % of the lines", percent >= at_least, f"{reached} of {total} lines, {percent:.1f} %")


def print_shares(lines):
    print(f"\n{'folder':<18}{'lines':>7}{'reached':>9}{'%':>7}")
    for folder in sorted({str(pathlib.Path(file).parent) + "/" for file in lines}) + [""]:
        own = {file: counts for file, counts in lines.items() if folder == "" or str(pathlib.Path(file).parent) + "/" == folder}
        total, reached, percent = share(own, folder)
        print(f"{folder or 'the tree':<18}{total:>7}{reached:>9}{percent:>7.1f}", flush=True)


def coverage(report):
    """Runs unit tests, simulation and scenarios in a build that counts, and prints for each folder how much of it they reached."""
    if not build(report, COVERED, ["-Db_coverage=true"]) or not build_plain(report):
        return
    for old in COVERED.rglob("*.gcda"):
        old.unlink()
    # not the one whose nodes end while their calls fail: they would write the counters in part
    run_programs(report, [p for p in meson_programs(COVERED) if p.suite in ("unit", "sim") and p.name != "failures_traffic"])
    check_share(report, "core", count_lines(), "node/core/", CORE_AT_LEAST)
    run_programs(report, scenario_programs(COVERED))
    lines = count_lines()
    print_shares(lines)
    check_share(report, "tree", lines, "", TREE_AT_LEAST)


# Programs whose code runs in several threads, with what each needs built; whole nodes for fewer rounds than under the other sanitizers.
THREADED_PROGRAMS = {
    "log": ["tests/unit/test_log"],
    "writer": ["tests/unit/test_writer"],
    "link": ["tests/unit/test_link"],
    "failures_traffic": ["tests/failures/test_failures_traffic", "tests/failures/keep_plugin"],
}
THREADED_ENVIRONMENT = {"ENLIGHT_ROUNDS": "100", "ENLIGHT_EACH": "1"}


def thread_races(report):
    """ThreadSanitizer over the parts that have threads. What libzmq does among its own is not ours to judge (tsan.supp)."""
    targets = [target for needed in THREADED_PROGRAMS.values() for target in needed]
    if not build(report, THREADED, ["-Db_sanitize=thread", "-Dwerror=true"], targets):
        return
    settings = f"suppressions={ROOT / 'tests' / 'tsan.supp'}:halt_on_error=1:exitcode=99"
    for program in meson_programs(THREADED):
        if program.suite == "unit" and program.name in THREADED_PROGRAMS:
            program.suite = "tsan"
            program.environment.update({"TSAN_OPTIONS": settings, **THREADED_ENVIRONMENT})
            program.command = ["setarch", "--addr-no-randomize", *program.command]  # it knows no other layout of memory
            run_program(report, program)


def chosen_analyses(words):
    """Which analyses the words ask for, and the words that are about something else."""
    names, others = [], []
    for word in words:
        if word == "analyse":
            names += list(ANALYSES)
        elif word.startswith("analyse/") and word[len("analyse/"):] in ANALYSES:
            names.append(word[len("analyse/"):])
        else:
            others.append(word)
    return list(dict.fromkeys(names)), others


def check_names(words):
    """What the words name that there is not; Meson knows the programs without building. None: it cannot be set up."""
    trouble = set_up(SANITIZED, SANITIZED_OPTIONS)
    if trouble is not None:
        print(trouble, file=sys.stderr)
        return None
    programs = meson_programs(SANITIZED) + scenario_programs()
    return [word for word in words if not any(p.matches(word) for p in programs)]


def list_all():
    """Prints suites and programs. The list is Meson's, so a build folder is set up for it, without building."""
    trouble = set_up(SANITIZED, SANITIZED_OPTIONS)
    if trouble is not None:
        print(trouble, file=sys.stderr)
        return 1
    programs = meson_programs(SANITIZED) + scenario_programs()
    for suite in dict.fromkeys(p.suite for p in programs):
        print(f"{suite}: " + " ".join(p.name for p in programs if p.suite == suite))
    print("analyse: " + " ".join(ANALYSES))
    for name in BY_NAME:
        print(name)
    return 0


def run_chosen(report, words):
    """Builds, and runs the programs that the words name, or all."""
    if not build_sanitized(report):
        return
    programs = meson_programs(SANITIZED) + scenario_programs()
    chosen = [p for p in programs if not words or any(p.matches(word) for word in words)]
    if any(p.suite == "scenarios" for p in chosen) and not build_plain(report):
        return
    run_programs(report, chosen)


# The simulator's last line, which counts.
SIM_COUNTS = re.compile(r"^seed \d+: held, .* (\d+) steps, (\d+) events, (\d+) faults,", re.M)
SIM_STEPS = 40000
SIM_SMOKE = "--members 300 --faults none --steps 650000".split()


def sim_smoke(report):
    """The largest network that is tried: once, without faults."""
    start = time.monotonic()
    done = subprocess.run([str(PLAIN / "tests" / "sim"), *SIM_SMOKE], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    print(done.stdout, end="", flush=True)
    report.add("sim-long/300 members", done.returncode == 0, done.stdout, time.monotonic() - start)


def sim_long(report, minutes):
    """300 members once; then fresh seeds until the time is up or one fails, one for each core; says how much that was in a minute."""
    if not build_plain(report):
        return
    sim_smoke(report)
    begin = time.monotonic()
    until = begin + 60 * minutes
    lock, failed, totals = threading.Lock(), [], [0, 0, 0, 0]
    seeds = iter(range(int(time.time()) * 1000, sys.maxsize))

    def explore(_):
        while time.monotonic() < until and not failed:
            with lock:
                seed = next(seeds)
            command = [str(PLAIN / "tests" / "sim"), "--seed", str(seed), "--steps", str(SIM_STEPS)]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            counts = SIM_COUNTS.search(done.stdout)
            with lock:
                if done.returncode != 0 or counts is None:
                    failed.append(f"$ {shlex.join(command)}\n{done.stdout}exit status {done.returncode}")
                    return
                for i, count in enumerate([1, *map(int, counts.groups())]):
                    totals[i] += count

    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(explore, range(JOBS)))
    took = max((time.monotonic() - begin) / 60, 0.001)
    runs, steps, events, faults = totals
    print(f"{runs} seeds in {took:.1f} minutes; in a minute {steps / took:.0f} steps, {events / took:.0f} events, "
          f"{faults / took:.0f} faults", flush=True)
    report.add("sim-long", not failed, "\n".join(failed))


# Mutants: deliberate defects, each of which the simulator or a unit test must find.
MUTANT_SEEDS = 200
MUTANT_STEPS = 20000
MUTANT_SEEDS_FIRST = 10  # before the unit tests: most fall to one of these
MUTANT_UNITS = ("accept", "card", "delivery", "keep", "meet", "publish", "republish", "roster",
                "session", "trust")


def copy_of_tree(folder):
    """The tree as git lists it, so that the patches touch nothing here."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def seed_finds(build_folder, seed):
    """What the simulator says against the defect, or None."""
    command = [build_folder / "tests" / "sim", "--seed", str(seed), "--steps", str(MUTANT_STEPS)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode == 0:
        return None
    said = done.stdout.partition(": ")[2].splitlines()
    return f"seed {seed}: {said[0] if done.returncode == 1 and said else f'exit status {done.returncode}'}"


def seeds_find(build_folder, seeds):
    """The same of the first seed that says something, as many at a time as there are cores."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        for begin in range(0, len(seeds), JOBS):
            for said in pool.map(lambda seed: seed_finds(build_folder, seed), seeds[begin:begin + JOBS]):
                if said:
                    return said
    return None


def units_find(build_folder):
    """The first unit test that fails, or does not build."""
    for name in MUTANT_UNITS:
        program = f"tests/unit/test_{name}"
        trouble = run_quietly(["ninja", "-C", str(build_folder), program])
        if trouble or subprocess.run([build_folder / program], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL).returncode != 0:
            return f"`test_{name}`"
    return None


def caught_by(build_folder):
    """What finds the defect that was built, or None."""
    seeds = list(range(1, MUTANT_SEEDS + 1))
    return (seeds_find(build_folder, seeds[:MUTANT_SEEDS_FIRST]) or units_find(build_folder)
            or seeds_find(build_folder, seeds[MUTANT_SEEDS_FIRST:]))


def try_mutant(folder, patch):
    """Applies, builds and tries one. Answers what found it, and what went wrong otherwise."""
    apply = ["patch", "-p1", "-d", str(folder), "-i", str(patch)]
    trouble = run_quietly([*apply, "--forward", "--fuzz=0"])
    if trouble:
        return None, trouble
    trouble = run_quietly(["ninja", "-C", str(folder / "build"), "tests/sim"])
    by = None if trouble else caught_by(folder / "build")
    run_quietly([*apply, "--reverse"])
    return by, trouble or (None if by else f"nothing finds it within {MUTANT_SEEDS} seeds")


def mutants(report):
    """Builds each mutant in a copy of the tree. One that no longer applies, or that nothing finds, fails. Ends with a table."""
    table = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        copy_of_tree(folder)
        set_up_trouble = run_quietly(["meson", "setup", str(folder / "build"), str(folder)])
        for patch in sorted((ROOT / "tests" / "mutants").glob("*.patch")):
            start = time.monotonic()
            by, trouble = (None, set_up_trouble) if set_up_trouble else try_mutant(folder, patch)
            table.append(f"| {patch.stem} | {by or '**nothing**'} |")
            if by:
                print(f"      {patch.stem}: {by}", flush=True)
            report.add(f"mutants/{patch.stem}", trouble is None, trouble or "", time.monotonic() - start)
    print("\n| mutant | found by |\n|---|---|\n" + "\n".join(table))


def fuzz(parser, report, arguments):
    """`fuzz --minutes N [NAME...]`: looks for inputs instead of replaying those that there are."""
    words = arguments.names[1:]
    targets = [word.removeprefix("fuzz/") for word in words] or fuzzing.names()
    unknown = [name for name in targets if name not in fuzzing.names()]
    if arguments.names[:1] != ["fuzz"] or not arguments.minutes > 0:
        parser.error("--minutes goes with fuzz (tests/run fuzz --minutes N [NAME...]) and with sim-long")
    if unknown:
        parser.error(f"nothing to fuzz is called {', '.join(unknown)}; there are {', '.join(fuzzing.names())}")
    fuzzing.fuzz(report, build, targets, arguments.minutes, len(os.sched_getaffinity(0)))
    return report.finish()


# What runs when it is named, beside the suites and analyses.
BY_NAME = {
    "coverage": lambda report, _: coverage(report),
    "mutants": lambda report, _: mutants(report),
    "sim-long": lambda report, arguments: sim_long(report, arguments.minutes or 10),
    "tsan": lambda report, _: thread_races(report),
}


class Parser(argparse.ArgumentParser):
    """Ends as everything here does when the command line is wrong."""

    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(os.EX_USAGE, f"tests/run: {message}\n")


def main():
    parser = Parser(prog="tests/run", description="Builds and runs the tests.")
    parser.add_argument("--list", action="store_true", help="list suites and their programs")
    parser.add_argument("--minutes", type=float, help="how long fuzz or sim-long explores (sim-long: 10)")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a suite, a program or suite/program")
    arguments = parser.parse_intermixed_args()  # `fuzz --minutes 5 header`
    if arguments.list:
        return list_all()

    report = Report()
    if arguments.minutes is not None and "sim-long" not in arguments.names:
        return fuzz(parser, report, arguments)
    analyses, words = chosen_analyses(arguments.names)
    wanted = [name for name in BY_NAME if name in words]
    words = [word for word in words if word not in BY_NAME]
    unknown = check_names(words) if words else []
    if unknown is None:
        return 1
    if unknown:
        print(f"tests/run: there is no {', '.join(unknown)}; tests/run --list says what there is", file=sys.stderr)
        return os.EX_USAGE
    if words or not arguments.names:
        run_chosen(report, words)
    if not arguments.names:
        wanted = ["tsan"]
    for name in wanted:
        BY_NAME[name](report, arguments)
    if analyses:
        analyse(report, analyses)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
