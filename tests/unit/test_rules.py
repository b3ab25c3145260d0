#!/usr/bin/python3
"""The rules of the node against those made of topics.json (check_events.py): kinds on bent texts, and bent events.

Arguments: the program convert, the folder proto/. The seed is printed; RULES_SEED sets another.
"""
import copy
import json
import os
import pathlib
import random
import subprocess
import sys

from check_events import Contract, pack_event

TEXTS_EACH, EVENTS_EACH = 400, 60
CHARACTERS = 'aZ0123456789.:/-_@ \t\n\x01\x7f~!é漢\\'
SAMPLES = [
    'ut.ee', 'course', 'en-GB', '2026', '2026-12', '2024-02-29', '2023-02-29', '2026-04-31', '2026-12-31', '2026-13',
    '2026-11-23T09:30:00Z', '2026-11-23T24:00:00Z', '2026-11-23T09:30:00.123456789Z', '6.00', '123456789.123456', '0613',
    '8', 'B2', 'NS', 'EE', '2026/2027', '9999/0000', '2026/2027-1/2', '2026/2027-3/2', '2026/2027-0/0', 'a-.ee', 'a.-b.ee',
    'ut.ee:b41887', 'UT.ee:1', 'urn:schac:personalUniqueCode:int:esi:ut.ee:b41887',
    'urn:schac:europeanUniversityAllianceCode:int:euai:ut.ee:1', 'a@b.eu', 'https://ut.ee/x', 'http://', 'text/plain',
    'name.pdf', 'mobility.stay', 'mobility/1', 'course.offering', 'approve', '0', '1', '9', 'A3', 'D1', '',
    'x' * 31, 'x' * 32, 'x' * 63, 'x' * 64, 'x' * 65, 'x.' * 31 + 'x', 'x.' * 32 + 'x', 'é' * 500, 'é' * 501,
    'x' * 32768, 'x' * 32769, 'https://' + 'x' * 1992, 'https://' + 'x' * 1993,
]


class Node:
    """The C program, asked line by line."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline().split()

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            sys.exit(f'the C program ended with {self.process.returncode}')


def bend(rng, text):
    """The text with a few characters put in, taken out or exchanged."""
    for _ in range(rng.choice([0, 1, 1, 2])):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(['', rng.choice(CHARACTERS), rng.choice(CHARACTERS)]) + text[at + rng.randrange(2):]
    return text


def compare_kinds(rng, node, contract):
    for name, kind in contract.kinds.items():
        if 'maxBytes' not in kind:
            continue  # closed lists and numbers
        taken = []
        for i in range(TEXTS_EACH):  # first the samples, then such as are nearly good
            text = SAMPLES[i] if i < len(SAMPLES) else bend(rng, rng.choice(taken))
            ours = node.ask(f'holds {name} {text.encode().hex()}')
            value = text.encode() if name in ('digest', 'piece') else text
            theirs = contract.holds(name, value)
            assert ours == ['yes' if theirs else 'no'], (name, text, ours)
            if theirs:
                taken.append(text)


def inside(json_value):
    """Every (object or list, key) in the data."""
    for key, value in json_value.items() if isinstance(json_value, dict) else enumerate(json_value):
        yield json_value, key
        if isinstance(value, (dict, list)):
            yield from inside(value)


def bend_data(rng, data):
    where, key = rng.choice(list(inside(data)))
    value = where[key]
    if isinstance(value, list):
        where[key] = rng.choice([value + value, [], value[1:]])
    elif isinstance(value, str) and value.isdigit():
        where[key] = rng.choice(['0', '1', value, bend(rng, value)])
        if not where[key].isascii() or not where[key].isdigit():
            where[key] = '7'
    elif isinstance(value, str):
        texts = [bend(rng, value), rng.choice(SAMPLES)] + [w[k] for w, k in inside(data) if isinstance(w[k], str)]
        where[key] = rng.choice(texts)
    elif isinstance(value, int):
        where[key] = rng.choice([0, 1, 2, 3, 1000])
    if rng.random() < 0.3 and isinstance(where, dict):
        del where[key]


def compare_events(rng, node, contract, vectors):
    """Both must find the same places wrong."""
    refused = 0
    for o in vectors['events']:
        topic = contract.topics[o['topic']]
        for _ in range(EVENTS_EACH):
            event = copy.deepcopy(o['event'])
            for _ in range(rng.choice([1, 1, 2])):
                if event['data']:
                    bend_data(rng, event['data'])
            try:
                data = contract.pack(topic['message'], event['data'])
            except ValueError:
                continue  # no base64
            publisher, audience = rng.choice([event['source'], 'ut.ee']), rng.choice([event['enlightaudience'], 'network'])
            packed = pack_event(bytes(16), event, data, o['persons'], o['dataclass'], o['keepuntil'])
            ours = node.ask(f'validate {publisher} {audience} {packed.hex()}')
            theirs = {place or '-' for place, _ in contract.breaches(packed, publisher, audience)}
            assert set(ours[1:]) == theirs, (o['topic'], event['data'], publisher, audience, ours, theirs)
            refused += bool(theirs)
    return refused


def main():
    node, proto = Node(sys.argv[1]), pathlib.Path(sys.argv[2])
    contract, vectors = Contract(proto / 'topics.json'), json.loads((proto / 'vectors/event.json').read_text())
    seed = int(os.environ.get('RULES_SEED', '20261123'))
    rng = random.Random(seed)
    compare_kinds(rng, node, contract)
    refused = compare_events(rng, node, contract, vectors)
    node.close()
    print(f'seed {seed}: {TEXTS_EACH} texts of each kind, {EVENTS_EACH * len(vectors["events"])} events, {refused} refused')


main()
