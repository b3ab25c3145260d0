#!/usr/bin/python3
"""Checks events by proto/topics.json alone, and proto/vectors/event.json with that: check_events.py PROTO

Like check_vectors.py this shares no code with the node: what stands in topics.json and in section 13 of proto/README.md
must be enough to write a valid event and to refuse others. Rules go by the names they have there.
"""
import base64
import datetime
import json
import pathlib
import re
import sys

from check_vectors import EVENT, Refused, Vectors, blake, fields, leaf, message, varint

EVENT_MAX = 192 * 1024
LONGEST = {'id': 64, 'type': 128, 'subject': 128, 'time': 40, 'traceparent': 64, 'data_class': 64, 'keep_until': 64}
PERSONS_MAX, PERSON_MAX, COMPARED_MAX = 64, 256, 64
TRACEPARENT = '(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}'


# --- packing ---

def pack_varint(n):
    out = b''
    while n > 0x7f:
        out += bytes([n & 0x7f | 0x80])
        n >>= 7
    return out + bytes([n])


def pack_field(number, value):
    if isinstance(value, int):
        return pack_varint(number << 3) + pack_varint(value)
    return pack_varint(number << 3 | 2) + pack_varint(len(value)) + value


def pack_event(salt, attributes, data, persons, data_class, keep_until):
    """Section 13's table of places; attributes as in CloudEvents."""
    a = {name: value.encode() for name, value in attributes.items() if isinstance(value, str)}
    values = [(1, salt), (2, a['id']), (3, a['type']), (4, a['subject']), (5, a['time']),
              (6, attributes['enlightrevision']), (7, data), (8, a.get('traceparent'))]
    values += [(9, person.encode()) for person in persons] + [(10, data_class.encode()), (11, keep_until.encode())]
    return b''.join(pack_field(number, value) for number, value in values if value is not None)


# --- values ---

def listed(value):
    return value if isinstance(value, list) else [value]


def values_at(data, place):
    """All values at a place like partners.heiId, in order."""
    first, _, rest = place.partition('.')
    if first not in data:
        return []
    found = listed(data[first])
    return [v for inner in found for v in values_at(inner, rest)] if rest else found


def first_at(data, place):
    return next(iter(values_at(data, place)), None)


def day_exists(text):
    """Of YYYY-MM-DD at the beginning; shorter dates have no day."""
    if len(text) < 10:
        return True
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    leap = year % 4 == 0 and year % 100 != 0 or year % 400 == 0
    return day <= [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]


# --- relations between the fields of one message ---

def in_order(data, a, b):
    a, b = first_at(data, a), first_at(data, b)
    return a is None or b is None or a[:len(b)] <= b[:len(a)]


def differ(data, a, b):
    return first_at(data, a) is None or first_at(data, a) != first_at(data, b)


def distinct(data, a):
    found = values_at(data, a)
    return len(found) <= COMPARED_MAX and len(set(found)) == len(found)


def content_fits(data, content, digest, size):
    content = first_at(data, content)
    return content is None or (len(content) == data[size] and blake(content) == data[digest])


RELATIONS = {
    'any-of': lambda data, *places: any(values_at(data, place) for place in places),
    'in-order': in_order,
    'differ': differ,
    'either': lambda data, a, b, c: first_at(data, c) in (first_at(data, a), first_at(data, b)),
    'distinct': distinct,
    'not-above': lambda data, a, b: data[a] <= data[b],
    'explained': lambda data, a, b: data[a] == 'approve' or bool(values_at(data, b)),
    'one-form': lambda data, a, b: bool(values_at(data, a)) != bool(values_at(data, b)),
    'content-fits': content_fits,
}


class Contract:
    def __init__(self, path):
        self.tables = json.loads(pathlib.Path(path).read_text())
        self.kinds, self.messages = self.tables['kinds'], self.tables['messages']
        self.topics = {t['topic']: t for t in self.tables['topics']}
        self.types = {t['type']: t for t in self.tables['topics']}

    # --- kinds ---

    def also(self, word, text):
        if word == 'day':
            return day_exists(text)
        if word == 'years':
            return int(text[:4]) + 1 == int(text[5:9])
        if word == 'part':
            return text[10] <= text[12]
        if word == 'handle':
            return self.holds('handle', text.partition(':')[0])
        if word == 'person':
            return any(self.holds(kind, text) for kind in ('esi', 'alliance-id', 'person-id'))
        raise KeyError(word)

    def holds(self, kind, value):
        """Whether a text, bytes or a number is of the kind."""
        if kind == 'positive':
            return value >= 1
        kind = self.kinds[kind]
        size = len(value.encode() if isinstance(value, str) else value)
        if not kind.get('minBytes', 0) <= size <= kind.get('maxBytes', size):
            return False
        if 'pattern' in kind and not re.fullmatch(kind['pattern'], value):
            return False
        return all(self.also(word, value) for word in kind.get('also', []))

    # --- data ---

    def pack(self, name, data):
        """A message from its JSON."""
        out = b''
        for f in self.messages[name]['fields']:
            for v in listed(data.get(f['field'], [])):
                if f['type'] == 'message':
                    v = self.pack(f['message'], v)
                elif f['type'] == 'string':
                    v = v.encode()
                elif f['type'] == 'bytes':
                    v = base64.b64decode(v)
                out += pack_field(f['number'], v if isinstance(v, bytes) else int(v))
        return out

    def value(self, f, value):
        """One entry of a field, as a list: numbers may come many in a row."""
        number = f['type'] in ('bool', 'uint32', 'uint64')
        if number and isinstance(value, bytes) and f['label'] == 'repeated':
            out, at = [], 0
            while at < len(value):
                v, at = varint(value, at)
                out += self.value(f, v)
            return out
        if number != isinstance(value, int):
            raise Refused('malformed')
        if number and value > {'bool': 1, 'uint32': 2**32 - 1, 'uint64': 2**64 - 1}[f['type']]:
            raise Refused('malformed')
        if f['type'] == 'message':
            return [self.unpack(f['message'], value)]
        if f['type'] != 'string':
            return [value]
        try:
            text = value.decode()
        except UnicodeDecodeError:
            raise Refused('malformed') from None
        if '\0' in text:
            raise Refused('malformed')
        return [text]

    def unpack(self, name, packed):
        """A message as a dict by JSON names; what it does not know is skipped."""
        shape, out = {f['number']: f for f in self.messages[name]['fields']}, {}
        for number, value in fields(packed):
            f = shape.get(number)
            if f is None:
                continue
            values = self.value(f, value)
            if f['label'] == 'repeated':
                out.setdefault(f['field'], []).extend(values)
            elif f['field'] in out:
                raise Refused('malformed')
            else:
                out[f['field']] = values[0]
        if any(f['label'] == 'required' and f['field'] not in out for f in shape.values()):
            raise Refused('malformed')
        return out

    def check_value(self, f, value, at):
        if f['type'] == 'message':
            yield from self.check(f['message'], value, at)
        elif f.get('rule') == 'one-of':
            if value not in f['codes']:
                yield at, 'one-of'
        elif 'rule' in f and not self.holds(f['rule'], value):
            yield at, f['rule']

    def check(self, name, data, at):
        """Every breach in a message, as (place, rule)."""
        for f in self.messages[name]['fields']:
            here = f'{at}/{f["field"]}'
            if f['label'] == 'repeated':
                entries = data.get(f['field'], [])
                for i, entry in enumerate(entries):
                    yield from self.check_value(f, entry, f'{here}/{i}')
                if not f.get('min', 0) <= len(entries) <= f.get('max', len(entries)):
                    yield here, 'entries'
            elif f['field'] in data:
                yield from self.check_value(f, data[f['field']], here)
        for r in self.messages[name]['relations']:
            if not RELATIONS[r['relation']](data, *r['places']):
                yield f'{at}/{r["at"]}'.rstrip('/'), r['relation']

    def persons(self, topic, data):
        return list(dict.fromkeys(v for place in topic['persons'] for v in values_at(data, place)))

    # --- events ---

    def read_event(self, packed):
        e = message(packed, EVENT)
        good = len(packed) <= EVENT_MAX and len(e['salt']) == 16 and e['revision'] >= 1 and len(e['person']) <= PERSONS_MAX
        good = good and all(len(e.get(name, '').encode()) <= most for name, most in LONGEST.items())
        good = good and all(len(person.encode()) <= PERSON_MAX for person in e['person'])
        if not good or '\0' in ''.join([*e['person'], *(e.get(name, '') for name in LONGEST)]):
            raise Refused('malformed')
        return e

    def check_attributes(self, e, audience):
        for name in ('id', 'subject', 'time'):
            if not self.holds(name, e[name]):
                yield f'/{name}', name
        name = re.fullmatch(r'eu\.enlight\.(.*)\.v[1-9][0-9]*', e['type'])
        if name is None or not self.holds('topic', name[1]):
            yield '/type', 'type'
        if 'traceparent' in e and not re.fullmatch(TRACEPARENT, e['traceparent']):
            yield '/traceparent', 'traceparent'
        if e['data_class'] not in ('public', 'internal', 'personal'):
            yield '/dataclass', 'class'
        if e['data_class'] == 'personal' and audience == 'network':
            yield '/enlightaudience', 'personal'
        if len(e['keep_until']) != 10 or not self.holds('date', e['keep_until']):
            yield '/keepuntil', 'keep-until'

    def check_subject(self, e, topic, data):
        family, slash, name = e['subject'].partition('/')
        if family != topic['family'] or not slash:
            yield '/subject', 'family'
        elif topic['id'] is not None and first_at(data, topic['id']) != name:
            yield f'/data/{topic["id"]}', 'subject-id'

    def check_about(self, topic, data, audience):
        family, point, name = data['topic'].partition('.')
        if family != topic['family'] or not point or name in ('decision', 'withdrawal'):
            yield '/data/topic', 'about'
        judged = self.topics.get(data['topic'])
        if judged and judged['personal'] and not topic['personal'] and audience == 'network':
            yield '/enlightaudience', 'personal'

    def check_data(self, e, topic, data, publisher, audience):
        yield from self.check(topic['message'], data, '/data')
        yield from self.check_subject(e, topic, data)
        if topic['roles'] and publisher not in [v for place in topic['roles'] for v in values_at(data, place)]:
            yield '/source', 'role'
        if topic['personal'] and audience == 'network':
            yield '/enlightaudience', 'personal'
        if topic.get('self') and audience != publisher:
            yield '/enlightaudience', 'self'
        if topic['message'] == 'Erasure' and 'person' in data and audience == 'network':
            yield '/data/person', 'erased-person'
        if e['data_class'] != topic['dataClass']:
            yield '/dataclass', 'class'
        if topic['message'] in ('Decision', 'Withdrawal'):
            yield from self.check_about(topic, data, audience)
        if topic['message'] == 'Decision' and data['source'] == publisher:
            yield '/data/source', 'other-side'
        if topic['message'] == 'Decision' and data['subject'] != e['subject']:
            yield '/data/subject', 'judged-subject'
        if not set(self.persons(topic, data)) <= set(e['person']):
            yield '/persons', 'persons'

    def breaches(self, packed, publisher, audience):
        """What a reader finds wrong with an Event: a set of (place, rule)."""
        try:
            e = self.read_event(packed)
        except Refused:
            return {('', 'event')}
        found, topic = set(self.check_attributes(e, audience)), self.types.get(e['type'])
        if topic is None:
            return found
        try:
            data = self.unpack(topic['message'], e.get('data', b''))
        except Refused:
            return found | {('/data', 'message')}
        return found | set(self.check_data(e, topic, data, publisher, audience))


# --- the file ---

def check_valid(v, contract, today, o):
    event, topic, what = o['event'], contract.topics[o['topic']], o['topic']
    data = contract.pack(topic['message'], event['data'])
    keep_until = (today + datetime.timedelta(days=topic['keepDays'])).isoformat()
    persons = contract.persons(topic, contract.unpack(topic['message'], data))
    packed = pack_event(bytes.fromhex(o['salt']), event, data, persons, topic['dataClass'], keep_until)
    v.same(event['type'], topic['type'], what)
    v.same(persons, o['persons'], f'{what}, persons')
    v.same(topic['dataClass'], o['dataclass'], f'{what}, class')
    v.same(keep_until, o['keepuntil'], f'{what}, keep until')
    v.same(packed, o['packed'], f'{what}, packed')
    v.same(leaf(packed), o['leaf'], f'{what}, leaf')
    v.same(contract.breaches(packed, event['source'], event['enlightaudience']), set(), what)


def check_refused(v, contract, o):
    what = f'{o["rule"]} of {o["topic"]}'
    found = contract.breaches(bytes.fromhex(o['packed']), o['publisher'], o['audience'])
    v.same((o['place'], o['rule']) in found, True, f'{what}: {found}')
    v.same({place for place, _ in found}, {o['place']}, what)


def main():
    proto = pathlib.Path(sys.argv[1])
    contract, v = Contract(proto / 'topics.json'), Vectors(proto / 'vectors')
    vectors = v.load('event')
    today = datetime.date.fromisoformat(vectors['today'])
    v.same([o['topic'] for o in vectors['events']], list(contract.topics), 'topics')
    for o in vectors['events']:
        check_valid(v, contract, today, o)
    for o in vectors['refused']:
        check_refused(v, contract, o)
    used = {f['rule'] for m in contract.messages.values() for f in m['fields'] if 'rule' in f}
    used |= {r['relation'] for m in contract.messages.values() for r in m['relations']}
    v.same(used - {o['rule'] for o in vectors['refused']}, set(), 'rules without a refused event')
    print(f'{v.checked} values agree')


if __name__ == '__main__':
    main()
