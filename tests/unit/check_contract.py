#!/usr/bin/python3
"""proto/README.md says what the code does: refusal codes, limits and timers stand in both. check_contract.py ROOT"""
import pathlib
import re
import sys

UNITS = {'KiB': 1024, 'MiB': 1024 * 1024, 's': 1000}


def constants(text):
    """Names and values of C enum constants, as far as they are numbers and products of numbers."""
    out = {}
    for name, value in re.findall(r'\b([A-Z][A-Z0-9_]+) = ([0-9][0-9 *<+]*)', text):
        out[name] = eval(value)  # digits and operators only, see the pattern
    return out


def row(page, first):
    """The second column of the table row that begins with `first`."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if line.startswith('|') and cells[0] == first:
            return cells[1]
    sys.exit(f'no row "{first}"')


def amounts(text):
    found = re.findall(r'([0-9][0-9,]*)(?: (KiB|MiB|s)\b)?', text)
    return [int(number.replace(',', '')) * UNITS.get(unit, 1) for number, unit in found]


LIMITS = [
    ('a packed `Event`', ['EVENT_MAX']),
    ('a packed `Body`, before it is sealed', ['BODY_MAX']),
    ('a packed `Header`, `Receipt` or `Claim`', ['HEADER_MAX']),
    ('a roster or card', ['NOTE_MAX']),
    ('messages inside each other, the outer one counted', ['DEPTH_MAX']),
    ('fields of a message and of all inside it', ['FIELDS_MAX']),
    ('a handle', ['HANDLE_MAX']),
    ('members of a roster; named in one audience', ['MEMBERS_MAX', 'AUDIENCE_MAX']),
    ("an event's id; subject; type; time; traceparent",
     ['ID_MAX', 'SUBJECT_MAX', 'TYPE_MAX', 'TIME_MAX', 'TRACEPARENT_MAX']),
    ("persons of one event; a person's identifier", ['PERSONS_MAX', 'PERSON_MAX']),
    ("a member's node keys over all time", ['KEY_NUMBERS_MAX']),
    ('credit of a session', ['CREDIT_MAX']),
    ('Hellos', ['HELLO_MS']),
    ('Beat', ['BEAT_MS']),
    ('silence', ['SILENCE_MS']),
    ('Heads', ['HEADS_MS']),
    ('fetch again', ['RETRY_MS']),
]


def main():
    root = pathlib.Path(sys.argv[1])
    page = (root / 'proto/README.md').read_text()
    core = root / 'node/core'
    known = {}
    for name in ('limits.h', 'node.h', 'serve.c'):
        known.update(constants((core / name).read_text()))
    for first, names in LIMITS:
        expected = [known[name] for name in names]
        if amounts(row(page, first)) != expected:
            sys.exit(f'"{first}" is {row(page, first)} in README.md, {expected} in the code')
    codes = re.findall(r'REFUSE_([A-Z_]+) = ([0-9]+)', (core / 'session.h').read_text())
    refusals = page[page.index('| code | refusal |'):]
    for name, number in codes:
        if row(refusals, number) != name.lower().replace('_', ' '):
            sys.exit(f'refusal {number} is "{row(refusals, number)}" in README.md, {name} in session.h')
    print(f'{len(LIMITS)} limits and {len(codes)} refusals agree')


if __name__ == '__main__':
    main()
