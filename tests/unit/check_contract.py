#!/usr/bin/python3
"""proto/README.md says what the code does: refusal codes, limits, timers, topics and kinds of rules stand in both.

check_contract.py ROOT
"""
import json
import pathlib
import re
import sys

UNITS = {'KiB': 1024, 'MiB': 1024 * 1024, 's': 1000, 'ms': 1}


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
    found = re.findall(r'([0-9][0-9,]*)(?: (KiB|MiB|ms|s)\b)?', text)
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
    ('channels of one publisher that one reader takes', ['CHANNELS_MAX']),
    ('credit of a session', ['CREDIT_MAX']),
    ("a plugin's frame", ['FRAME_MAX']),
    ("a plugin's window", ['DELIVERY_WINDOW_MAX']),
    ('events that a plugin has and has not done, in bytes', ['DELIVERY_AHEAD_BYTES']),
    ("a plugin's publications under way", ['DELIVERY_PUBLISH_MAX']),
    ('time without a frame, while nothing is open', ['DELIVERY_BEAT_MS']),
    ("a plugin's deaths with one event", ['DELIVERY_DEATHS_MAX']),
    ('the pause before an event is retried', ['DELIVERY_RETRY_MIN_MS', 'DELIVERY_RETRY_MAX_MS']),
    ('the pause before a process is started again', ['DELIVERY_RESTART_MIN_MS', 'DELIVERY_RESTART_MAX_MS']),
    ('events that a plugin has not done', ['DELIVERY_HELD_MAX']),
    ('Hellos', ['HELLO_MS']),
    ('Beat', ['BEAT_MS']),
    ('silence', ['SILENCE_MS']),
    ('Heads', ['HEADS_MS']),
    ('fetch again', ['RETRY_MS']),
]


def code(words, none):
    return ', '.join(f'`{word}`' for word in words) or none


def topic_rows(tables):
    for t in tables['topics']:
        yield (f'| `{t["topic"]}` | `{t["message"]}` | {t["dataClass"]} | {code(t["roles"], "any member")} '
               f'| {code(t["persons"], "")} | {t["keepDays"]} | {code([t["id"]] if t["id"] else [], "")} |')


def kind_rows(tables):
    for name, kind in tables['kinds'].items():
        size = f'{kind["minBytes"]} to {kind["maxBytes"]}' if 'maxBytes' in kind else ''
        size = str(kind['minBytes']) if size and kind['minBytes'] == kind['maxBytes'] else size
        yield f'| `{name}` | {kind["text"]} | {size} | {code(kind.get("also", []), "")} |'


def rows(page, head):
    """The rows of the table with that head."""
    for line in page[page.index(head):].splitlines()[2:]:
        if not line.startswith('|'):
            return
        yield line


def check_table(page, head, expected):
    for ours, theirs in zip([*rows(page, head), 'nothing'], [*expected, 'nothing']):
        if ours != theirs:
            sys.exit(f'README.md: {ours}\ntopics.json: {theirs}')


def check_names(page, head, names):
    missing = names - {name for row in rows(page, head) for name in re.findall('`([a-z-]+)`', row.split('|')[1])}
    if missing:
        sys.exit(f'not in the table "{head}": {missing}')


def check_topics(root, page):
    """Section 13's tables against topics.json, which another test holds against the code."""
    tables = json.loads((root / 'proto/topics.json').read_text())
    refused = json.loads((root / 'proto/vectors/event.json').read_text())['refused']
    check_table(page, '| topic | message |', topic_rows(tables))
    check_table(page, '| `rule` | what |', kind_rows(tables))
    relations = {r['relation'] for m in tables['messages'].values() for r in m['relations']}
    check_names(page, '| `relation` |', relations)
    check_names(page, '| rule on events |', {o['rule'] for o in refused} - relations - set(tables['kinds']))
    check_names(page, '| `also` |', {word for kind in tables['kinds'].values() for word in kind.get('also', [])})
    return len(tables['topics'])


def main():
    root = pathlib.Path(sys.argv[1])
    page = (root / 'proto/README.md').read_text()
    core = root / 'node/core'
    known = {}
    for name in ('limits.h', 'node.h', 'serve.c', 'delivery.h'):
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
    n_topics = check_topics(root, page)
    print(f'{len(LIMITS)} limits, {len(codes)} refusals and {n_topics} topics agree')


if __name__ == '__main__':
    main()
