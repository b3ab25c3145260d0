#!/usr/bin/python3
"""Lets proto/verify.py judge the files of vectors/evidence.json: check_evidence.py PROTO [ENLIGHT]

With the `enlight` command it also compares both verifiers over files with one bit changed: they agree on each, and what a changed
file proves the unchanged one proved too.
"""
import importlib.util
import json
import pathlib
import random
import subprocess
import sys
import tempfile

CHANGES = 100


def load(proto):
    spec = importlib.util.spec_from_file_location('verify', proto / 'verify.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path):
    vectors = json.loads(path.read_text())
    whole = bytes.fromhex(vectors['whole'])
    for one in vectors['files']:
        one['file'] = whole[:one['head']] + bytes.fromhex(one['middle']) + whole[len(whole) - one['tail']:]
    return vectors['files']


def judge(verify, network, data):
    v = verify.Verifier(bytes.fromhex(network))
    v.verify(data)
    return v.proved, sorted((f['kind'], f['what'], f['about']) for f in v.findings)


def check_vectors(verify, files):
    failed = 0
    for one in files:
        said = judge(verify, one['network'], one['file'])
        wanted = (one['proved'], sorted(map(tuple, one['findings'])))
        if said != wanted:
            failed += 1
            print(f'{one["what"]}: {said} instead of {wanted}')
    return failed


def by_command(enlight, network, data, folder):
    path = folder / 'file'
    path.write_bytes(data)
    run = subprocess.run([enlight, 'verify', '--json', '--network', network, path], capture_output=True, check=False)
    said = json.loads(run.stdout)
    assert run.returncode == (0 if said['proved'] else 1), run
    return said['proved'], sorted((f['kind'], f['what'], f['about']) for f in said['findings'])


def check_changes(verify, enlight, files):
    """One bit of each kind of file, drawn from a fixed seed."""
    draw, failed = random.Random(1), 0
    bases = [one for one in files if one['proved']]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(CHANGES):
            one = draw.choice(bases)
            data = bytearray(one['file'])
            bit = draw.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
            here = judge(verify, one['network'], bytes(data))
            there = by_command(enlight, one['network'], bytes(data), pathlib.Path(folder))
            more = {f for f in here[1] if f[0] == 'proves'} - set(map(tuple, one['findings']))
            if here != there or more:
                failed += 1
                print(f'{one["what"]}, bit {bit}: {here} here, {there} by the command, more than before: {more}')
    return failed


def main():
    proto = pathlib.Path(sys.argv[1])
    files = read(proto / 'vectors/evidence.json')
    verify = load(proto)
    failed = check_vectors(verify, files)
    if len(sys.argv) > 2:
        failed += check_changes(verify, sys.argv[2], files)
    print(f'{len(files)} files, {failed} judged otherwise')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
