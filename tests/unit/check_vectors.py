#!/usr/bin/python3
"""Checks proto/vectors with code of its own, written from proto/README.md: check_vectors.py FOLDER

Nothing of the node is used here, not even its .proto files: what this program understands, a stranger can.
"""
import base64
import hashlib
import json
import pathlib
import re
import sys

import nacl.bindings as sodium
from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

SIGNED_MAX = 16 * 1024
EVENT_MAX, SLOTS_MAX = 192 * 1024, 4096
INT64_MAX = 2 ** 63 - 1
ZERO = bytes(32)


class Refused(Exception):
    """What the contract does not allow; the text is the outcome or the code."""


def blake(*parts, size=32, **more):
    return hashlib.blake2b(b''.join(parts), digest_size=size, **more).digest()


# --- protobuf ---

def varint(data, at):
    value = shift = 0
    while True:
        if at == len(data) or shift > 63:
            raise Refused('malformed')
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """The fields of a message as (number, value), value a number or bytes."""
    at, out = 0, []
    while at < len(data):
        tag, at = varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at:at + size], at + size
        else:
            raise Refused('malformed')
        if at > len(data) or number == 0:
            raise Refused('malformed')
        out.append((number, value))
    return out


def message(data, shape):
    """A message as a dict. A shape maps numbers to (name, kind): required num, num32, bytes, str; ending in ? optional, * repeated."""
    out = {name: [] for name, kind in shape.values() if kind.endswith('*')}
    for number, value in fields(data):
        if number not in shape:
            continue
        name, kind = shape[number]
        if isinstance(value, int) != kind.startswith('num') or (kind.startswith('num32') and value > 0xffffffff):
            raise Refused('malformed')
        if kind.startswith('str'):
            try:
                value = value.decode()
            except UnicodeDecodeError:
                raise Refused('malformed') from None
        if kind.endswith('*'):
            out[name].append(value)
        elif name in out:
            raise Refused('malformed')
        else:
            out[name] = value
    for name, kind in shape.values():
        if name not in out and kind[-1] not in '?*':
            raise Refused('malformed')
    return out


HEADER = {1: ('format', 'num32'), 2: ('suite', 'num32'), 3: ('network', 'bytes'), 4: ('publisher', 'str'),
          5: ('audience', 'str*'), 6: ('incarnation', 'num32'), 7: ('first', 'num'), 8: ('count', 'num32'),
          9: ('previous', 'bytes'), 10: ('after', 'bytes?'), 11: ('root', 'bytes'), 12: ('time_ms', 'num'),
          13: ('roster', 'bytes'), 14: ('card', 'bytes'), 15: ('key', 'num32')}
AFTER = {1: ('sequence', 'num'), 2: ('digest', 'bytes')}
EVENT = {1: ('salt', 'bytes'), 2: ('id', 'str'), 3: ('type', 'str'), 4: ('subject', 'str'), 5: ('time', 'str'),
         6: ('revision', 'num'), 7: ('data', 'bytes?'), 8: ('traceparent', 'str?'), 9: ('person', 'str*'),
         10: ('data_class', 'str'), 11: ('keep_until', 'str')}
RECEIPT = {1: ('format', 'num32'), 2: ('network', 'bytes'), 3: ('reader', 'str'), 4: ('publisher', 'str'),
           5: ('audience', 'str*'), 6: ('incarnation', 'num32'), 7: ('from', 'num'), 8: ('to', 'num'),
           9: ('head', 'bytes'), 10: ('uncovered', 'num'), 11: ('time_ms', 'num'), 12: ('key', 'num32')}
CLAIM = {1: ('version', 'num32'), 2: ('oldest', 'num32'), 3: ('network', 'bytes'), 4: ('from', 'str'), 5: ('to', 'str'),
         6: ('from_link', 'bytes'), 7: ('to_link', 'bytes'), 8: ('nonce', 'bytes'), 9: ('ephemeral', 'bytes'),
         10: ('boot', 'bytes'), 11: ('key', 'num32'), 12: ('time_ms', 'num'), 13: ('roster', 'num32')}
FRAME = {1: ('session', 'bytes?'), 2: ('hello', 'bytes?'), 5: ('deliver', 'bytes?'), 10: ('number', 'num?')}
HELLO = {1: ('claim', 'bytes?'), 2: ('signature', 'bytes?')}
DELIVER = {1: ('header', 'bytes'), 2: ('signature', 'bytes'), 3: ('key', 'bytes?'), 4: ('body', 'bytes?')}


# --- keys and signatures ---

def derive(secret, context):
    """crypto_kdf: BLAKE2b of nothing, keyed, the sub-key's number as salt, the context as personalisation."""
    return blake(size=32, key=secret, salt=(1).to_bytes(8, 'little') + bytes(8), person=context + bytes(8))


def verify(key, signature, signed):
    try:
        VerifyKey(key).verify(signed, signature)
        return True
    except (CryptoError, ValueError):
        return False


def verify_domain(key, signature, domain, signed):
    return verify(key, signature, domain.encode() + b'\0' + signed)


def unwrap(wrapping, digest, wrapped):
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(wrapped[24:], digest, wrapped[:24], wrapping)


def unseal(key, header, signature, sealed):
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, header + signature, bytes(24), key)


# --- trees ---

def leaf(event):
    return blake(b'\0', event)


def node(left, right):
    return blake(b'\1', left, right)


def split(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def root(leaves):
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(root(leaves[:k]), root(leaves[k:]))


def path(leaves, index):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return path(leaves[:k], index) + [root(leaves[k:])]
    return path(leaves[k:], index - k) + [root(leaves[:k])]


# --- headers, bodies, receipts ---

def is_handle(text):
    label = '[a-z0-9]([a-z0-9-]*[a-z0-9])?'
    return len(text) <= 63 and re.fullmatch(rf'{label}(\.{label})+', text) is not None


def check_audience(audience, publisher):
    if audience == ['network']:
        return
    good = 0 < len(audience) <= 64 and all(map(is_handle, audience))
    good = good and all(a < b for a, b in zip(audience, audience[1:]))
    if not good or (len(audience) > 1 and publisher in audience):
        raise Refused('malformed')


def rule(good):
    if not good:
        raise Refused('malformed')


def read_header(packed):
    rule(len(packed) <= SIGNED_MAX)
    early = dict(fields(packed))
    rule(early.get(1) and early.get(2) and max(early[1], early[2]) <= 0xffffffff)
    if early[1] != 1 or early[2] != 1:
        raise Refused('unknown format')
    h = message(packed, HEADER)
    if 'after' in h:
        h['after'] = message(h['after'], AFTER)
        rule(len(h['after']['digest']) == 32)
    rule(all(len(h[name]) == 32 for name in ('network', 'previous', 'root', 'roster', 'card')))
    rule(is_handle(h['publisher']) and h['incarnation'] >= 1 and 1 <= h['count'] <= SLOTS_MAX and h['key'] >= 1)
    rule(h['time_ms'] <= INT64_MAX and 1 <= h['first'] <= INT64_MAX - h['count'])
    rule((h['first'] == 1) == (h['previous'] == ZERO))
    after = h.get('after')
    if after is None:
        rule(h['first'] > 1)
    else:
        rule(h['first'] == after['sequence'] + 1 and h['previous'] == after['digest'])
        rule(h['incarnation'] > 1 or h['first'] == 1)
    check_audience(h['audience'], h['publisher'])
    return h


def read_slot(packed):
    """The slot's event (None: erased) and its leaf."""
    s = [(number, value) for number, value in fields(packed) if number in (1, 2)]
    rule(len(s) == 1 and isinstance(s[0][1], bytes))
    number, value = s[0]
    if number == 1:
        rule(len(value) <= EVENT_MAX)
        return value, leaf(value)
    rule(len(value) == 32)
    return None, value


def read_body(body, header):
    slots = [read_slot(value) for number, value in fields(body) if number == 1]
    rule(len(slots) == header['count'])
    if root([digest for _, digest in slots]) != header['root']:
        raise Refused('forged')
    return slots


def read_receipt(packed):
    r = message(packed, RECEIPT)
    rule(r['format'] == 1 and is_handle(r['reader']) and is_handle(r['publisher']))
    rule(len(r['network']) == 32 and len(r['head']) == 32 and r['incarnation'] >= 1 and r['key'] >= 1)
    rule(1 == r['from'] <= r['to'] < INT64_MAX and r['uncovered'] <= r['to'] - r['from'] + 1)
    check_audience(r['audience'], None)
    rule(r['audience'] == ['network'] or r['reader'] in r['audience'])
    return r


# --- notes ---

class Note:
    def __init__(self, text):
        signed, _, tail = text.partition('\n\n')
        self.signed = (signed + '\n').encode()
        self.digest = blake(self.signed)
        self.lines = [line.split(' ') for line in signed.split('\n')]
        self.signatures = []
        for line in tail.splitlines():
            dash, name, value = line.split(' ')
            value = base64.b64decode(value, validate=True)
            rule(dash == '\u2014' and len(value) == 68)
            self.signatures.append((name, value[:4], value[4:]))

    def all(self, word):
        return [line[1:] for line in self.lines if line[0] == word]

    def one(self, word):
        return self.all(word)[0][0]

    def good(self, signature, key):
        name, hint, value = signature
        return hint == blake(name.encode() + b'\n\1' + key)[:4] and verify(key, value, self.signed)

    def signed_by(self, name, key):
        return any(s[0] == name and self.good(s, key) for s in self.signatures)


class Roster(Note):
    def __init__(self, text):
        super().__init__(text)
        rule(self.lines[0] == ['enlight', 'roster', '1'])
        self.number, self.quorum = int(self.one('number')), int(self.one('quorum'))
        self.members = {m[0]: base64.b64decode(m[2], validate=True) for m in self.all('member')}
        rule(list(self.members) == sorted(self.members))
        rule(len(self.members) < 2 * self.quorum <= 2 * len(self.members))
        rule((self.one('previous') == 'none') == (self.number == 1))
        self.origin = bytes.fromhex(self.one('origin')) if self.number > 1 else self.digest

    def check(self, before):
        """`before` is the roster in force, or this one itself when it is the first."""
        if before is not self:
            rule(self.number == before.number + 1 and self.one('previous') == before.digest.hex())
            rule(self.origin == before.origin)
        for s in self.signatures:
            keys = {r.members.get(s[0]) for r in (self, before)} - {None}
            rule(any(self.good(s, key) for key in keys))
        rule(sum(self.signed_by(name, key) for name, key in before.members.items()) >= before.quorum)
        for name, key in self.members.items():
            rule(before.members.get(name) == key or self.signed_by(name, key))


class Card(Note):
    def __init__(self, text):
        super().__init__(text)
        rule(self.lines[0] == ['enlight', 'card', '1'])
        self.member = self.one('member')
        self.keys = {int(k[0]): (base64.b64decode(k[2]), base64.b64decode(k[4])) for k in self.all('key')}
        self.former = {base64.b64decode(k[2]) for word in ('retired', 'revoked') for k in self.all(word)}

    def check(self, roster, others):
        rule(self.one('network') == roster.origin.hex() and self.member in roster.members)
        rule(self.signed_by(self.member, roster.members[self.member]))
        for number, (sign, _) in self.keys.items():
            rule(self.signed_by(f'{self.member}+{number}', sign))
        in_use = {sign for sign, _ in self.keys.values()}
        rule(not (in_use | self.former) & set(roster.members.values()))
        rule(not in_use & {sign for card in others if card.member != self.member for sign, _ in card.keys.values()})


# --- Hellos ---

NO_VERSION, MALFORMED, NETWORK, STRANGER, KEY = 3, 2, 4, 5, 6


def read_claim(packed, me, own_link, peer_link, roster, cards):
    """A claim as the listener judges it; Refused holds the code."""
    try:
        c = message(packed, CLAIM)
        sizes = {'network': 32, 'from_link': 32, 'to_link': 32, 'nonce': 32, 'ephemeral': 32, 'boot': 16}
        rule(all(len(c[name]) == size for name, size in sizes.items()))
        rule(is_handle(c['from']) and is_handle(c['to']) and 1 <= c['oldest'] <= c['version'])
    except Refused:
        raise Refused(MALFORMED) from None
    if c['oldest'] > 1:
        raise Refused(NO_VERSION)
    if c['network'] != roster.origin:
        raise Refused(NETWORK)
    if c['to'] != me or c['from'] == me or c['from'] not in roster.members:
        raise Refused(STRANGER)
    keys = cards[c['from']].keys.get(c['key'])
    if keys is None or keys[1] != peer_link or c['from_link'] != peer_link or c['to_link'] != own_link:
        raise Refused(KEY)
    try:
        sodium.crypto_scalarmult(bytes(31) + b'\1', c['ephemeral'])
    except Exception:
        raise Refused(KEY) from None
    return c


# --- the files ---

class Vectors:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.checked = 0

    def load(self, name):
        return json.loads((self.folder / f'{name}.json').read_text())

    def same(self, got, expected, what):
        if isinstance(got, bytes):
            got = got.hex()
        if got != expected:
            sys.exit(f'{what}: {got!r} is not {expected!r}')
        self.checked += 1

    def refused(self, outcome, what, call, *args):
        try:
            call(*args)
        except Refused as e:
            self.same(e.args[0], outcome, what)
        except ValueError:
            self.same('malformed', outcome, what)
        else:
            sys.exit(f'{what}: not refused')

    def signed(self, key, signature, domain, packed, what):
        bent = bytes([packed[0] ^ 1]) + packed[1:]
        self.same(verify_domain(key, signature, domain, packed), True, what)
        self.same(verify_domain(key, signature, domain, bent), False, what)

    def fields(self, got, expected, what):
        for name, value in expected.items():
            have = got.get(name)
            if isinstance(have, dict):
                self.fields(have, value, what)
            else:
                self.same(have, value, f'{what}, {name}')

    def derivation(self):
        v = self.load('derivation')
        for n in v['nodes']:
            secret = bytes.fromhex(n['node_secret'])
            seed, link = derive(secret, b'enlsign_'), derive(secret, b'enllink_')
            self.same(seed, n['sign_seed'], 'signing seed')
            self.same(sodium.crypto_sign_seed_keypair(seed)[0], n['sign_public'], 'signing key')
            self.same(link, n['link_secret'], 'link secret')
            self.same(sodium.crypto_scalarmult_base(link), n['link_public'], 'link key')
        for s in v['stores']:
            secret = bytes.fromhex(s['store_secret'])
            self.same(derive(secret, b'enlwrap_'), s['wrap'], 'wrap key')
            self.same(derive(secret, b'enlindex'), s['index'], 'index key')

    def trees(self):
        leaves = []
        for o in self.load('leaf')['leaves']:
            leaves.append(leaf(bytes.fromhex(o['event'])))
            self.same(leaves[-1], o['leaf'], 'leaf')
        for o in self.load('root')['roots']:
            self.same(root(leaves[:o['n']]), o['root'], f'root of {o["n"]}')
        for o in self.load('path')['paths']:
            got = [step.hex() for step in path(leaves[:o['n']], o['index'])]
            self.same(got, o['path'], f'path of {o["index"]} of {o["n"]}')

    def headers(self):
        v = self.load('header')
        key = bytes.fromhex(v['sign_public'])
        for o in v['headers']:
            packed = bytes.fromhex(o['packed'])
            self.fields(read_header(packed), o['fields'], o['what'])
            self.same(blake(b'\2', packed), o['digest'], o['what'])
            self.signed(key, bytes.fromhex(o['signature']), 'enlight header 1', packed, o['what'])
        for o in v['refused']:
            self.refused(o['outcome'], o['what'], read_header, bytes.fromhex(o['packed']))

    def sealing(self):
        v = self.load('sealing')
        packed, signature = bytes.fromhex(v['header']), bytes.fromhex(v['signature'])
        header = read_header(packed)
        for o in v['seals']:
            body = unseal(bytes.fromhex(o['key']), packed, signature, bytes.fromhex(o['sealed']))
            self.same(body, o['body'], o['what'])
            if o['outcome'] == 'good':
                self.same(len(read_body(body, header)), header['count'], o['what'])
            else:
                self.refused(o['outcome'], o['what'], read_body, body, header)

    def wrap(self):
        for o in self.load('wrap')['wraps']:
            wrapped = bytes.fromhex(o['wrapped'])
            self.same(wrapped[:24], o['nonce'], 'nonce')
            self.same(unwrap(bytes.fromhex(o['wrapping']), bytes.fromhex(o['header_digest']), wrapped), o['key'], 'wrap')

    def notes(self):
        v = self.load('notes')
        first, second = Roster(v['roster_1']['text']), Roster(v['roster_2']['text'])
        self.same(first.digest, v['roster_1']['digest'], 'roster 1')
        self.same(first.digest, v['network'], 'network')
        self.same(second.digest, v['roster_2']['digest'], 'roster 2')
        first.check(first)
        second.check(first)
        for o in v['members']:
            public = sodium.crypto_sign_seed_keypair(bytes.fromhex(o['identity_seed']))[0]
            self.same(public, o['identity_public'], f'identity of {o["handle"]}')
            self.same(public, second.members[o['handle']].hex(), f'identity of {o["handle"]}')
        cards = [Card(o['text']) for o in v['cards']]
        for card, o in zip(cards, v['cards']):
            self.same(card.digest, o['digest'], f'card of {card.member}')
            card.check(second, cards)
        for o in v['refused']:
            kind = Roster if o['text'].startswith('enlight roster') else Card
            args = (first,) if kind is Roster else (first, cards[:2])
            self.refused('malformed', o['why'], lambda: kind(o['text']).check(*args))
        copied = Card(v['copied']['text'])
        copied.check(first, cards[:2])
        cards[1].check(first, [copied])
        return second, {card.member: card for card in cards}

    def handshake(self, roster, cards):
        v = self.load('handshake')
        d, l = v['dialler'], v['listener']
        claims = [bytes.fromhex(d['claim']), bytes.fromhex(l['claim'])]
        both = blake(claims[0]) + blake(claims[1])
        self.same(both, d['claim_digest'] + l['claim_digest'], 'claims')
        links = [cards[end['member']].keys[end['key']][1] for end in (d, l)]
        read = [read_claim(claims[0], l['member'], links[1], links[0], roster, cards),
                read_claim(claims[1], d['member'], links[0], links[1], roster, cards)]
        for end, link in zip((d, l), links):
            secret = derive(bytes.fromhex(end['node_secret']), b'enllink_')
            self.same(sodium.crypto_scalarmult_base(secret), link.hex(), 'link key')
        for end, claim in zip((d, l), read):
            self.same(sodium.crypto_scalarmult_base(bytes.fromhex(end['ephemeral_secret'])), end['ephemeral'], 'ephemeral')
            self.fields(claim, {name: end[name] for name in ('nonce', 'ephemeral', 'boot', 'time_ms', 'roster')}, 'claim')
        for end, role in ((d, 'dialler'), (l, 'listener')):
            key = cards[end['member']].keys[end['key']][0]
            self.signed(key, bytes.fromhex(end['signature']), f'enlight hello {role} 1', both, role)
        for mine, other in ((d, l), (l, d)):
            shared = sodium.crypto_scalarmult(bytes.fromhex(mine['ephemeral_secret']), bytes.fromhex(other['ephemeral']))
            self.same(shared, v['shared'], 'shared')
        self.same(blake(b'enlight session 1\0', both)[:16], v['session'], 'session')
        self.same(blake(b'enlight session key 1\0', shared, both), v['session_key'], 'session key')
        expected = [{'claim': d['claim']}, {'claim': l['claim'], 'signature': l['signature']}, {'signature': d['signature']}]
        for frame, hello in zip(v['frames'], expected):
            frame = message(bytes.fromhex(frame), FRAME)
            self.same('session' in frame, False, 'frame')
            got = message(frame['hello'], HELLO)
            self.same({name: value.hex() for name, value in got.items()}, hello, 'frame')
        for o in v['refused']:
            self.refused(o['code'], o['why'], read_claim, bytes.fromhex(o['claim']), l['member'], links[1], links[0],
                         roster, cards)

    def batch(self):
        v = self.load('batch')
        frame = message(bytes.fromhex(v['frame']), FRAME)
        self.same(frame['session'], v['session'], 'session')
        self.same(v['session_key'], self.load('handshake')['session_key'], 'session key')
        got = message(frame['deliver'], DELIVER)
        for name, there in (('header', 'packed'), ('signature', 'signature'), ('key', 'wrapped'), ('body', 'sealed')):
            self.same(got[name], v[there], f'deliver, {name}')
        header = read_header(got['header'])
        self.fields(header, v['header'], 'header')
        self.signed(bytes.fromhex(v['sign_public']), got['signature'], 'enlight header 1', got['header'], 'header')
        digest = blake(b'\2', got['header'])
        self.same(digest, v['digest'], 'header digest')
        key = unwrap(bytes.fromhex(v['session_key']), digest, got['key'])
        self.same(key, v['batch_key'], 'batch key')
        body = unseal(key, got['header'], got['signature'], got['body'])
        self.same(body, v['body'], 'body')
        for (event, digest), o in zip(read_body(body, header), v['events']):
            self.same(event, o.pop('packed'), 'event')
            self.same(digest, o.pop('leaf'), 'leaf')
            self.fields(message(event, EVENT), o, o['id'])

    def receipts(self):
        v = self.load('receipt')
        for o in v['receipts']:
            packed = bytes.fromhex(o['packed'])
            self.fields(read_receipt(packed), o['fields'], o['what'])
            self.signed(bytes.fromhex(v['sign_public']), bytes.fromhex(o['signature']), 'enlight receipt 1', packed,
                        o['what'])
        for o in v['refused']:
            self.refused('malformed', o['what'], read_receipt, bytes.fromhex(o['packed']))


def main():
    v = Vectors(sys.argv[1])
    v.derivation()
    v.trees()
    v.headers()
    v.sealing()
    v.wrap()
    v.handshake(*v.notes())
    v.batch()
    v.receipts()
    print(f'{v.checked} values agree')


if __name__ == '__main__':
    main()
