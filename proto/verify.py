#!/usr/bin/python3
"""Says what a file of evidence proves: verify.py [--json] --network DIGEST FILE

Written from README.md beside it (sections 3 to 8 and 19), with Python's standard library and PyNaCl; nothing of the node is used, so
what the node's own `enlight verify` says can be checked by other means. DIGEST is that of the network's first roster, which whoever
asks must have from elsewhere. Ends with 0 when the file proves its event or fork, 1 when it does not, 2 when it cannot be read.
"""
import argparse
import base64
import datetime
import hashlib
import json
import pathlib
import re
import sys

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

FILE_MAX, NOTE_MAX, SIGNED_MAX, EVENT_MAX = 16 << 20, 256 << 10, 16 << 10, 192 << 10
FIELDS_MAX, DEPTH_MAX, NOTES_MAX, CHAIN_MAX, SLOTS_MAX, ANCHORS_MAX = 65536, 16, 8192, 12288, 4096, 1
INT64_MAX = 2 ** 63 - 1
ZERO = bytes(32)


class Malformed(Exception):
    """Bytes or text that are not of the contract's form."""


class Broken(Exception):
    """The file does not hang together: what, where, and why in words."""

    def __init__(self, what, place, why):
        super().__init__(why)
        self.what, self.place, self.why = what, place, why


def must(good, why='malformed'):
    if not good:
        raise Malformed(why)


def blake(*parts):
    return hashlib.blake2b(b''.join(parts), digest_size=32).digest()


def verifies(key, signature, signed):
    try:
        VerifyKey(key).verify(signed, signature)
        return True
    except (BadSignatureError, ValueError):
        return False


def signed_by(key, signature, domain, packed):
    return verifies(key, signature, domain + b'\0' + packed)


# ---- protobuf, read strictly (README, section 3) ----
#
# A shape maps field numbers to (name, kind, how). Kinds: u32, u64, bytes, text, or another shape. How: 1 required, ? optional, * any
# number of times.

HEADER_SIGNED = {1: ('header', 'bytes', '1'), 2: ('signature', 'bytes', '1')}
HELD_BY = {1: ('receipt', 'bytes', '1'), 2: ('signature', 'bytes', '1')}
SHOWN = {1: ('event', 'bytes', '1'), 2: ('index', 'u32', '1'), 3: ('path', 'bytes', '*'),
         4: ('chain', HEADER_SIGNED, '*'), 5: ('receipts', HELD_BY, '*')}
ANCHORED = {1: ('salt', 'bytes', '1'), 2: ('checkpoint', SHOWN, '1')}
FORK = {1: ('one', HEADER_SIGNED, '1'), 2: ('other', HEADER_SIGNED, '1')}
EVIDENCE = {1: ('format', 'u32', '1'), 2: ('notes', 'bytes', '*'), 3: ('event', SHOWN, '?'),
            4: ('anchored', ANCHORED, '*'), 5: ('fork', FORK, '?')}
AFTER = {1: ('sequence', 'u64', '1'), 2: ('digest', 'bytes', '1')}
HEADER = {1: ('format', 'u32', '1'), 2: ('suite', 'u32', '1'), 3: ('network', 'bytes', '1'), 4: ('publisher', 'text', '1'),
          5: ('audience', 'text', '*'), 6: ('incarnation', 'u32', '1'), 7: ('first', 'u64', '1'), 8: ('count', 'u32', '1'),
          9: ('previous', 'bytes', '1'), 10: ('after', AFTER, '?'), 11: ('root', 'bytes', '1'), 12: ('time_ms', 'u64', '1'),
          13: ('roster', 'bytes', '1'), 14: ('card', 'bytes', '1'), 15: ('key', 'u32', '1')}
RECEIPT = {1: ('format', 'u32', '1'), 2: ('network', 'bytes', '1'), 3: ('reader', 'text', '1'), 4: ('publisher', 'text', '1'),
           5: ('audience', 'text', '*'), 6: ('incarnation', 'u32', '1'), 7: ('from', 'u64', '1'), 8: ('to', 'u64', '1'),
           9: ('head', 'bytes', '1'), 10: ('uncovered', 'u64', '1'), 11: ('time_ms', 'u64', '1'), 12: ('key', 'u32', '1')}
EVENT = {1: ('salt', 'bytes', '1'), 2: ('id', 'text', '1'), 3: ('type', 'text', '1'), 4: ('subject', 'text', '1'),
         5: ('time', 'text', '1'), 6: ('revision', 'u64', '1'), 7: ('data', 'bytes', '?'), 8: ('traceparent', 'text', '?'),
         9: ('person', 'text', '*'), 10: ('data_class', 'text', '1'), 11: ('keep_until', 'text', '1')}
CHECKPOINT = {1: ('node', 'text', '1'), 2: ('time', 'text', '1'), 3: ('anchors', 'bytes', '*')}


class Reader:
    """One walk over packed bytes; counts the fields of a message and of all inside it."""

    def __init__(self):
        self.fields = FIELDS_MAX

    @staticmethod
    def varint(data, at):
        value = 0
        for i in range(10):
            must(at < len(data))
            byte = data[at]
            at += 1
            must(i < 9 or byte <= 1)
            value |= (byte & 0x7f) << (7 * i)
            if byte < 0x80:
                return value, at
        raise Malformed('a number of more than 64 bits')

    def value(self, data, at, wire):
        """What stands behind a tag: a number, bytes, or None for fixed numbers."""
        if wire == 0:
            return self.varint(data, at)
        if wire == 2:
            size, at = self.varint(data, at)
            must(size <= len(data) - at)
            return data[at:at + size], at + size
        must(wire in (1, 5))
        size = 8 if wire == 1 else 4
        must(size <= len(data) - at)
        return None, at + size

    def typed(self, value, wire, kind, depth):
        must(wire == (0 if kind in ('u32', 'u64') else 2))
        if kind == 'u32':
            must(value <= 0xffffffff)
        elif kind == 'text':
            try:
                value = value.decode()
            except UnicodeDecodeError:
                raise Malformed('not UTF-8') from None
            must('\0' not in value)
        elif isinstance(kind, dict):
            must(depth < DEPTH_MAX)
            value = self.message(value, kind, depth + 1)
        return value

    def message(self, data, shape, depth=1):
        out = {name: [] for name, _, how in shape.values() if how == '*'}
        at = 0
        while at < len(data):
            must(self.fields > 0)
            self.fields -= 1
            tag, at = self.varint(data, at)
            must(tag >> 3 != 0 and tag <= 0xffffffff)
            value, at = self.value(data, at, tag & 7)
            if tag >> 3 not in shape:
                continue
            name, kind, how = shape[tag >> 3]
            value = self.typed(value, tag & 7, kind, depth)
            if how == '*':
                out[name].append(value)
            else:
                must(name not in out)
                out[name] = value
        must(all(name in out for name, _, how in shape.values() if how == '1'))
        return out


def read(data, shape):
    return Reader().message(data, shape)


# ---- handles, headers, receipts, events ----

def is_handle(text):
    label = '[a-z0-9]([a-z0-9-]*[a-z0-9])?'
    return len(text) <= 63 and re.fullmatch(rf'{label}(\.{label})+', text) is not None


def check_audience(parts):
    if parts != ['network']:
        must(0 < len(parts) <= 64 and all(map(is_handle, parts)) and all(a < b for a, b in zip(parts, parts[1:])))


def read_header(packed):
    must(len(packed) <= SIGNED_MAX)
    h = read(packed, HEADER)
    must(h['format'] == 1 and h['suite'] == 1)
    must(all(len(h[name]) == 32 for name in ('network', 'previous', 'root', 'roster', 'card')))
    must(is_handle(h['publisher']) and h['incarnation'] >= 1 and 1 <= h['count'] <= SLOTS_MAX and h['key'] >= 1)
    must(h['time_ms'] <= INT64_MAX and 1 <= h['first'] <= INT64_MAX - h['count'])
    must((h['first'] == 1) == (h['previous'] == ZERO))
    check_audience(h['audience'])
    must(h['publisher'] not in h['audience'] or len(h['audience']) == 1)
    after = h.get('after')
    if after is None:
        must(h['first'] > 1)
    else:
        must(len(after['digest']) == 32)
        must(h['first'] == after['sequence'] + 1 and h['previous'] == after['digest'])
        must(h['incarnation'] > 1 or h['first'] == 1)
    h['last'] = h['first'] + h['count'] - 1
    h['digest'] = blake(b'\2', packed)
    return h


def read_receipt(packed):
    must(len(packed) <= SIGNED_MAX)
    r = read(packed, RECEIPT)
    must(r['format'] == 1 and is_handle(r['reader']) and is_handle(r['publisher']))
    must(len(r['network']) == 32 and len(r['head']) == 32 and r['incarnation'] >= 1 and r['key'] >= 1)
    must(1 == r['from'] <= r['to'] < INT64_MAX and r['uncovered'] <= r['to'] and r['time_ms'] <= INT64_MAX)
    check_audience(r['audience'])
    must(r['audience'] == ['network'] or r['reader'] in r['audience'])
    return r


def read_event(packed):
    must(len(packed) <= EVENT_MAX)
    e = read(packed, EVENT)
    limits = {'id': 64, 'type': 128, 'subject': 128, 'time': 40, 'data_class': 64, 'keep_until': 64, 'traceparent': 64}
    must(all(len(e[name].encode()) <= most for name, most in limits.items() if name in e))
    must(len(e['salt']) == 16 and e['revision'] >= 1)
    must(len(e['person']) <= 64 and all(len(person.encode()) <= 256 for person in e['person']))
    return e


def root_by_path(leaf, index, count, path):
    """RFC 9162, section 2.1.3.2: the root that the path leads to, None when it is not one for this place."""
    digest, last = leaf, count - 1
    for sibling in path:
        if last == 0:
            return None
        if index % 2 == 1 or index == last:
            digest = blake(b'\1', sibling, digest)
            while index % 2 == 0 and index != 0:
                index, last = index >> 1, last >> 1
        else:
            digest = blake(b'\1', digest, sibling)
        index, last = index >> 1, last >> 1
    return digest if last == 0 else None


# ---- notes (README, section 6) ----

HIDDEN = re.compile('[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]')


def from_base64(text, size):
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed('not base64') from None
    must(len(value) == size and base64.b64encode(value).decode() == text)
    return value


def from_hex(text):
    must(re.fullmatch('[0-9a-f]{64}', text))
    return bytes.fromhex(text)


def number(text, most=0xffffffff):
    must(re.fullmatch('[1-9][0-9]*', text) and int(text) <= most)
    return int(text)


class Note:
    """A signed text. WORDS: how often each may stand (1, ?, * or +) and how many values it takes."""
    kind, words = '', {}

    def __init__(self, data):
        must(0 < len(data) <= NOTE_MAX)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            raise Malformed('not UTF-8') from None
        must(HIDDEN.search(text) is None and text.endswith('\n'))
        lines = text[:-1].split('\n')
        end = lines.index('') if '' in lines else len(lines)
        must(lines[0] == f'enlight {self.kind} 1')
        self.signed = ''.join(line + '\n' for line in lines[:end]).encode()
        self.digest = blake(self.signed)
        self.values = {word: [] for word in self.words}
        for line in lines[1:end]:
            self.take_line(line.split(' '))
        for word, (often, _, _) in self.words.items():
            must(often not in '1+' or self.values[word])
            must(often not in '1?' or len(self.values[word]) <= 1)
        self.signatures = []
        must(end == len(lines) or end < len(lines) - 1)
        for line in lines[end + 1:]:
            self.take_signature(line)

    def take_line(self, words):
        must(len(words) <= 64 and all(words) and re.fullmatch('[!-~]+', words[0]))
        if words[0] in self.words:
            _, least, most = self.words[words[0]]
            must(least <= len(words) - 1 <= most)
            self.values[words[0]].append(words[1:])
        else:
            must(not words[0].startswith('!'))

    def take_signature(self, line):
        parts = line.split(' ')
        must(len(parts) == 3 and parts[0] == '\u2014' and re.fullmatch('[!-~]{1,74}', parts[1]))
        value = from_base64(parts[2], 68)
        must(all((name, hint) != (parts[1], value[:4]) for name, hint, _ in self.signatures))
        must(len(self.signatures) < 1024)
        self.signatures.append((parts[1], value[:4], value[4:]))

    def one(self, word):
        return self.values[word][0][0]

    def good(self, signature, key):
        name, hint, value = signature
        return hint == blake(name.encode() + b'\n\1' + key)[:4] and verifies(key, value, self.signed)


class Roster(Note):
    kind = 'roster'
    words = {'network': ('1', 1, 1), 'number': ('1', 1, 1), 'previous': ('1', 1, 1), 'origin': ('?', 1, 1),
             'quorum': ('1', 1, 1), 'member': ('+', 4, 64), 'alias': ('*', 2, 2)}

    def __init__(self, data):
        super().__init__(data)
        self.network = self.one('network')
        must(re.fullmatch('[a-z0-9.-]{1,63}', self.network))
        self.number, self.quorum = number(self.one('number')), number(self.one('quorum'), 512)
        self.previous = None if self.one('previous') == 'none' else from_hex(self.one('previous'))
        must((self.previous is None) == (self.number == 1) == (not self.values['origin']))
        self.origin = self.digest if self.number == 1 else from_hex(self.one('origin'))
        self.members = {}
        for handle, country, key, *_ in self.values['member']:
            must(is_handle(handle) and re.fullmatch('[A-Z]{2}', country))
            must(not self.members or handle > max(self.members))
            self.members[handle] = from_base64(key, 32)
        must(len(self.members) <= 512 and len(set(self.members.values())) == len(self.members))
        must(len(self.members) < 2 * self.quorum <= 2 * len(self.members))
        self.check_aliases()

    def check_aliases(self):
        aliases = [alias for _, alias in self.values['alias']]
        must(all(handle in self.members for handle, _ in self.values['alias']))
        must(all(is_handle(alias) and alias not in self.members for alias in aliases) and len(set(aliases)) == len(aliases))

    def votes(self, voters):
        return {s[0] for s in self.signatures if s[0] in voters and self.good(s, voters[s[0]])}

    def check(self, before):
        """Whether it follows `before`, or with None is a good first one."""
        old = before.members if before is not None else self.members
        for s in self.signatures:
            must(any(s[0] in r and self.good(s, r[s[0]]) for r in (old, self.members)))
        if before is None:
            must(self.number == 1 and len(self.votes(self.members)) >= self.quorum)
            return
        must(self.network == before.network and self.origin == before.origin and self.number == before.number + 1)
        must(self.previous == before.digest and len(self.votes(old)) >= before.quorum)
        mine = self.votes(self.members)
        must(all(handle in mine or old.get(handle) == key for handle, key in self.members.items()))


class Card(Note):
    kind = 'card'
    words = {'network': ('1', 1, 1), 'member': ('1', 1, 1), 'number': ('1', 1, 1), 'endpoint': ('?', 1, 1), 'key': ('+', 5, 5),
             'retired': ('*', 3, 3), 'revoked': ('*', 3, 3), 'takes': ('*', 1, 64)}

    def __init__(self, data):
        super().__init__(data)
        self.network, self.member, self.number = from_hex(self.one('network')), self.one('member'), number(self.one('number'))
        must(is_handle(self.member))
        self.identity = None
        for (endpoint,) in self.values['endpoint']:
            match = re.fullmatch(r'tcp://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([1-9][0-9]*)', endpoint)
            must(match and int(match[2]) <= 65535 and len(endpoint) <= 270)
        must(all(re.fullmatch('[a-z0-9.*-]{1,128}', word) for line in self.values['takes'] for word in line))
        self.keys, links = {}, []  # number: (state, signing key)
        for state in ('key', 'retired', 'revoked'):
            for line in self.values[state]:
                must(line[1] == 'sign' and (state != 'key' or line[3] == 'link'))
                must(number(line[0], 1000) not in self.keys)
                self.keys[int(line[0])] = (state, from_base64(line[2], 32))
                links += [from_base64(line[4], 32)] if state == 'key' else []
        signing = [key for _, key in self.keys.values()]
        must(len(set(signing)) == len(signing) and len(set(links)) == len(links) <= 2)
        must(self.keys[max(self.keys)][0] == 'key')

    def check_signatures(self, identity):
        wanted = {f'{self.member}+{n}': key for n, (state, key) in self.keys.items() if state == 'key'}
        wanted[self.member] = identity
        must(all(s[0] in wanted and self.good(s, wanted[s[0]]) for s in self.signatures))
        must({s[0] for s in self.signatures} == set(wanted))


class Trust:
    """Rosters and cards as far as they were read, each judged by those before it."""

    def __init__(self, first):
        self.rosters, self.cards = [first], []
        self.keys = {}       # (member, number): signing key
        self.states = {}     # (member, number): key, retired or revoked
        self.said_by = {}    # (member, number): the identity key under which a card said so last
        self.proven = {}     # signing key: member that showed that it holds it

    def add(self, data):
        if data.startswith(b'enlight roster '):
            roster = Roster(data)
            roster.check(self.rosters[-1])
            self.rosters.append(roster)
        else:
            self.add_card(Card(data))

    def add_card(self, card):
        roster = self.rosters[-1]
        must(all(card.digest != c.digest for c in self.cards))
        must(card.network == roster.origin and card.member in roster.members)
        card.identity = roster.members[card.member]
        card.check_signatures(card.identity)
        before = [c for c in self.cards if c.member == card.member and c.identity == card.identity]
        must(not before or card.number > before[-1].number)
        must(not before or all(n in card.keys for n in before[-1].keys))
        for n, (state, key) in card.keys.items():
            old = self.states.get((card.member, n))
            must(self.keys.get((card.member, n), key) == key)
            bound = self.said_by.get((card.member, n)) == card.identity
            must(not bound or old == 'key' or state == old or (old, state) == ('retired', 'revoked'))
            must(key not in roster.members.values())
            must(state != 'key' or self.proven.get(key, card.member) == card.member)
        self.learn(card)

    def learn(self, card):
        for (member, n), state in self.states.items():
            if member == card.member and n not in card.keys:
                same = self.said_by[member, n] == card.identity
                self.states[member, n] = 'retired' if same and state != 'revoked' else 'revoked'
                self.said_by[member, n] = card.identity
        for n, (state, key) in card.keys.items():
            self.keys[card.member, n] = key
            if self.said_by.get((card.member, n)) != card.identity or self.states[card.member, n] != 'revoked':
                self.states[card.member, n] = state
            self.said_by[card.member, n] = card.identity
            if state == 'key':
                self.proven.setdefault(key, card.member)
        self.cards.append(card)

    @property
    def network(self):
        return self.rosters[-1].origin

    def is_revoked(self, member, n):
        return self.states.get((member, n)) == 'revoked'

    def newest_card(self, member):
        numbers = [c.number for c in self.cards if c.member == member and c.identity == self.rosters[-1].members.get(member)]
        return max(numbers, default=0)


# ---- evidence (README, section 19) ----

def time_text(ms):
    try:
        return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')
    except (OverflowError, ValueError, OSError):
        return f'{ms} ms after 1970'


def plain(text):
    return text if re.fullmatch('[ -~]*', text) else 'a time that cannot be read'


class Verifier:
    def __init__(self, network):
        self.network, self.trust = network, None
        self.findings, self.proved, self.event = [], False, None

    def say(self, kind, what, about, text):
        self.findings.append({'kind': kind, 'what': what, 'about': about, 'text': text})

    def proves(self, what, about, text):
        self.say('proves', what, about, text)

    def proves_not(self, what, about, text):
        self.say('does not prove', what, about, text)

    def verify(self, data):
        try:
            self.judge(data)
        except Broken as broken:
            self.findings, self.proved, self.event = [], False, None
            self.say('broken', broken.what, broken.place, broken.why)

    def judge(self, data):
        try:
            must(len(data) <= FILE_MAX)
            e = read(data, EVIDENCE)
        except Malformed:
            raise Broken('format', '', 'no file of evidence, or a damaged one') from None
        if e['format'] != 1 or ('event' in e) == ('fork' in e) or ('fork' in e and e['anchored']):
            raise Broken('format', '', 'not of format 1, or not of one event or one fork')
        self.read_notes(e['notes'])
        rosters = self.trust.rosters
        self.proves('network', '', f'rosters {rosters[0].number} to {rosters[-1].number} of {rosters[-1].network} follow each '
                    'other, and the first is the one whose digest was given')
        if 'event' in e:
            self.judge_event(e)
        else:
            self.judge_fork(e['fork'])

    def read_notes(self, notes):
        if not 0 < len(notes) <= NOTES_MAX:
            raise Broken('notes', '', 'no rosters, or too many notes')
        try:
            first = Roster(notes[0])
        except Malformed:
            raise Broken('notes', 'note/0', 'not a roster') from None
        if first.digest != self.network:
            raise Broken('network', 'note/0', 'another first roster than the one whose digest was given')
        for i, note in enumerate(notes):
            try:
                if i > 0:
                    self.trust.add(note)
                elif first.number == 1:
                    first.check(None)
                self.trust = self.trust or Trust(first)
            except Malformed:
                raise Broken('notes', f'note/{i}', 'a roster or card that does not follow those before it') from None

    def header(self, signed, place):
        try:
            must(len(signed['signature']) == 64)
            h = read_header(signed['header'])
        except Malformed:
            raise Broken('header', place, 'not a signed header') from None
        if h['network'] != self.trust.network:
            raise Broken('network', place, 'a header of another network')
        key = self.trust.keys.get((h['publisher'], h['key']))
        if key is None:
            raise Broken('key', place, f'no card has node key {h["key"]} of {h["publisher"]}')
        if not signed_by(key, signed['signature'], b'enlight header 1', signed['header']):
            raise Broken('signature', place, f'not signed by {h["publisher"]}')
        return h

    def chain(self, signed, of):
        if not 0 < len(signed) <= CHAIN_MAX:
            raise Broken('chain', of, 'no header, or too many')
        chain = []
        for i, one in enumerate(signed):
            place = f'{of}/chain/{i}'
            h = self.header(one, place)
            if chain and not self.follows(chain[-1], h):
                raise Broken('chain', place, 'does not go on where the header before it ends')
            chain.append(h)
        return chain

    @staticmethod
    def follows(a, b):
        same = all(a[name] == b[name] for name in ('publisher', 'audience'))
        risen = b['incarnation'] > a['incarnation'] if 'after' in b else b['incarnation'] == a['incarnation']
        return same and risen and b['first'] == a['last'] + 1 and b['previous'] == a['digest'] and b['key'] >= a['key']

    def standing_key(self, chain):
        return next((h['key'] for h in chain if not self.trust.is_revoked(h['publisher'], h['key'])), 0)

    def shown(self, s, of, what):
        chain = self.chain(s['chain'], of)
        h, leaf = chain[0], blake(b'\0', s['event'])
        good = s['index'] < h['count'] and len(s['path']) <= 13 and all(len(p) == 32 for p in s['path'])
        if not good or root_by_path(leaf, s['index'], h['count'], s['path']) != h['root']:
            raise Broken('path', of, 'the batch that was signed does not hold these bytes')
        try:
            event = read_event(s['event'])
        except Malformed:
            raise Broken('event', of, 'not an event') from None
        out = {'chain': chain, 'event': event, 'leaf': leaf, 'sequence': h['first'] + s['index']}
        for i, receipt in enumerate(s['receipts']):
            self.receipt(receipt, out, f'{of}/receipt/{i}', what)
        return out

    def receipt(self, signed, shown, place, what):
        try:
            must(len(signed['signature']) == 64)
            r = read_receipt(signed['receipt'])
        except Malformed:
            raise Broken('receipt', place, 'not a signed receipt') from None
        h, reader = shown['chain'][0], r['reader']
        same = all(r[name] == h[name] for name in ('network', 'publisher', 'audience'))
        if not same or reader == h['publisher']:
            raise Broken('receipt', place, 'for another channel')
        key = self.trust.keys.get((reader, r['key']))
        if key is None:
            raise Broken('key', place, f'no card has node key {r["key"]} of {reader}')
        if not signed_by(key, signed['signature'], b'enlight receipt 1', signed['receipt']):
            raise Broken('signature', place, f'not signed by {reader}')
        if r['to'] < shown['sequence']:
            self.proves_not(what, reader, f'that {reader} holds it: its receipt ends before it, at {r["to"]}')
        elif r['to'] > shown['chain'][-1]['last']:
            self.proves_not(what, reader, f'that {reader} holds it: its receipt is for {r["to"]}, beyond the headers shown')
        elif not any((c['last'], c['incarnation'], c['digest']) == (r['to'], r['incarnation'], r['head']) for c in shown['chain']):
            raise Broken('receipt', place, f'{reader} signed for another history')
        elif self.trust.is_revoked(reader, r['key']):
            self.proves_not(what, reader, f'that {reader} holds it: the key of its receipt was revoked')
        else:
            self.proves(what, reader, f'{reader} signed on {time_text(r["time_ms"])} by its clock that it holds 1 to {r["to"]}, '
                        f'{r["uncovered"]} of them without text')

    def anchor(self, anchored, event):
        point = self.shown(anchored['checkpoint'], 'checkpoint', 'witness')
        h = point['chain'][0]
        right = h['publisher'] == event['chain'][0]['publisher'] and h['audience'] == ['network']
        if not right or point['event']['type'] != 'eu.enlight.node.checkpoint.v1' or len(anchored['salt']) != 16:
            raise Broken('checkpoint', 'checkpoint', 'not a checkpoint of the publisher')
        try:
            anchors = set(read(point['event'].get('data', b''), CHECKPOINT)['anchors'])
        except Malformed:
            anchors = set()
        if not any(blake(anchored['salt'], c['digest']) in anchors for c in event['chain']):
            raise Broken('checkpoint', 'checkpoint', 'it names none of the headers shown')
        standing = self.standing_key(point['chain'])
        if standing == 0:
            self.proves_not('checkpoint', '', 'that it was there by a day: the checkpoint is under a revoked key too')
        else:
            self.proves('checkpoint', '', f'{h["publisher"]} had it by its checkpoint of {plain(point["event"]["time"])}')
        return standing

    def judge_event(self, e):
        event = self.shown(e['event'], 'event', 'receipt')
        h = event['chain'][0]
        if len(e['anchored']) > ANCHORS_MAX:
            raise Broken('checkpoint', 'checkpoint', 'too many checkpoints')
        by_checkpoint = max([self.anchor(one, event) for one in e['anchored']], default=0)
        self.say_member(h)
        self.say_published(event, len(e['event']['event']), by_checkpoint)
        self.say_limits(h)
        self.event = event

    def say_member(self, h):
        publisher = h['publisher']
        roster = next((r for r in self.trust.rosters if r.digest == h['roster']), None)
        if roster is None:
            self.proves_not('member', publisher, f'that {publisher} was a member then: its roster is not in the file')
        elif publisher not in roster.members:
            self.proves_not('member', publisher, f'that {publisher} was a member then: by roster {roster.number} it was not')
        else:
            self.proves('member', publisher, f'{publisher} was a member by roster {roster.number}')

    def say_published(self, event, size, by_checkpoint):
        h = event['chain'][0]
        by_chain, publisher = self.standing_key(event['chain']), h['publisher']
        if not by_chain and not by_checkpoint:
            self.proves_not('published', publisher, f'that {publisher} published it: its key {h["key"]} was revoked, and nothing '
                            'follows under another')
            return
        self.proved = True
        self.proves('published', publisher, f'{publisher} published these {size} bytes, digest {event["leaf"].hex()}, as number '
                    f'{event["sequence"]} of its channel for {",".join(h["audience"])}, incarnation {h["incarnation"]}, with key '
                    f'{h["key"]}, on {time_text(h["time_ms"])} by its clock')
        if by_chain != h['key']:
            self.proves('position', publisher, f'key {h["key"]} was revoked later, and key {by_chain or by_checkpoint} follows it')

    def say_limits(self, h):
        publisher = h['publisher']
        shown = {f['what'] for f in self.findings if f['kind'] == 'proves'}
        if 'receipt' not in shown:
            self.proves_not('receipt', '', 'that any reader holds it')
        if 'checkpoint' not in shown:
            self.proves_not('checkpoint', '', 'that it was there by some day')
        self.proves_not('read', '', 'that anybody saw it or acted on it: receipts are of disks')
        self.proves_not('truth', '', f'that it is true; only that {publisher} said it')
        self.proves_not('time', '', 'when, but by the clocks of those who signed')
        self.proves_not('branch', '', f'that {publisher} showed nobody another history')
        self.say_newest(publisher)

    def say_newest(self, publisher):
        self.proves_not('newest', publisher, f'that no card after number {self.trust.newest_card(publisher)} revokes a key')

    def judge_fork(self, fork):
        a, b = self.header(fork['one'], 'fork/one'), self.header(fork['other'], 'fork/other')
        same = all(a[name] == b[name] for name in ('publisher', 'audience', 'incarnation')) and a['digest'] != b['digest']
        crossing = a['first'] <= b['last'] and b['first'] <= a['last']
        below = ('after' in b and a['first'] < b['first']) or ('after' in a and b['first'] < a['first'])
        if not same or not (crossing or below):
            raise Broken('fork', 'fork', 'the two headers do not contradict each other')
        publisher = a['publisher']
        self.proved = True
        self.proves('fork', publisher, f'{publisher} signed two histories of its channel for {",".join(a["audience"])}: '
                    f'{a["first"]} to {a["last"]} and {b["first"]} to {b["last"]} of incarnation {a["incarnation"]}')
        if any(self.trust.is_revoked(h['publisher'], h['key']) for h in (a, b)):
            self.proves_not('thief', publisher, f'that {publisher} signed both itself: a key of one was revoked')
        self.proves_not('blame', '', 'why: a restored copy forks as deceit does')
        self.proves_not('time', '', 'when, but by the clock of who signed')
        self.say_newest(publisher)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--network', required=True, metavar='DIGEST', help='digest of the first roster, 64 hexadecimal digits')
    parser.add_argument('--json', action='store_true')
    parser.add_argument('file', type=pathlib.Path)
    arguments = parser.parse_args()
    if not re.fullmatch('[0-9a-fA-F]{64}', arguments.network):
        parser.error('--network takes 64 hexadecimal digits')
    v = Verifier(bytes.fromhex(arguments.network))
    try:
        v.verify(arguments.file.read_bytes())
    except OSError as error:
        print(f'{arguments.file}: {error.strerror}', file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps({'proved': v.proved, 'findings': v.findings}, indent=2))
    else:
        print('proved' if v.proved else 'NOT proved')
        for f in v.findings:
            print(f'{f["kind"]}: {f["what"]} {f["about"]}: {f["text"]}')
    return 0 if v.proved else 1


if __name__ == '__main__':
    sys.exit(main())
