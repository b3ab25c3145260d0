"""seeds - runs the simulator (`sim`) over fixed seeds, as tests in TAP; the program is the first argument.

A seed that once found a fault of the node stays here as long as it runs into the same place; a unit test holds the fault itself."""

import concurrent.futures
import os
import subprocess
import sys

# What each run is for, and its arguments.
RUNS = [
    ("no fault", "--seed 1 --faults none --steps 20000"),
    ("crashes", "--seed 1 --faults crash --steps 20000"),
    ("crashes and full disks", "--seed 2 --faults crash,full,disk --steps 20000"),
    ("bad connections", "--seed 3 --faults drop,cut,partition,one-way,delay,reorder,overtake,lose,double,stale --steps 20000"),
    ("bad plugins", "--seed 4 --faults crash,plugin-crash,plugin-fail,plugin-hang --steps 20000"),
    ("slow and silent members", "--seed 5 --faults slow,silent,clock --steps 20000"),
    ("keys", "--seed 6 --faults revoke,renew --steps 20000"),
    ("keys and members", "--seed 6 --faults join,leave,renew,revoke,crash --steps 20000"),
    ("liars", "--seed 8 --faults audience,bogus,claim,equivocate,flood,network,order,rewind,withhold --steps 20000"),
    ("liars and crashes", "--seed 9 --faults bogus,crash,equivocate,order,rewind,withhold --steps 20000"),
    ("liars' keys and incarnations", "--seed 10 --faults claim-key,forge,minority,network,old-key,raise,renew,revoke --steps 20000"),
    ("thieves", "--seed 55 --faults thief --steps 20000"),
    ("revoked keys and old copies", "--seed 11 --faults crash,partition,renew,restore,revoke,rewind,thief --steps 20000"),
    ("old copies", "--seed 11 --faults crash,restore,rewind --steps 20000"),
    ("large events", "--seed 15 --faults crash,cut,full,slow --steps 20000"),
    ("everything", "--seed 28 --steps 30000"),
    ("everything", "--seed 87 --steps 30000"),
    ("everything, three members", "--seed 6 --members 3 --steps 20000"),
    ("everything, twenty members", "--seed 7 --members 20 --steps 20000"),
    ("everything, a hundred members", "--seed 1 --members 100 --steps 90000"),
]


def run(program, arguments):
    return subprocess.run([program, *arguments.split()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def result(number, good, name, said):
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    for line in said.rstrip("\n").split("\n")[-40:]:
        print("# " + line)
    sys.stdout.flush()


def main():
    program = sys.argv[1]
    print(f"1..{len(RUNS) + 1}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        runs = pool.map(lambda each: run(program, each[1]), RUNS)
        for number, ((name, arguments), done) in enumerate(zip(RUNS, runs), 1):
            result(number, done.returncode == 0, f"{name}: sim {arguments}", done.stdout)
    # The same arguments give the same output, to the byte.
    arguments = "--seed 9 --steps 8000 --trace"
    first, second = run(program, arguments), run(program, arguments)
    result(len(RUNS) + 1, first.stdout == second.stdout and first.returncode == 0, "the same seed, the same output",
           first.stdout.rstrip("\n").split("\n")[-1])


main()
