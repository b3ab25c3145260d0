#!/usr/bin/python3
"""link_attack - does to a running node's port what a node must stand, and says whether it did.

    link_attack.py --port 4847 --server-key KEY [--secret-key KEY | --node-secret FILE] [--pid PID --max-rss MIB] [ATTACK...]

Keys are 32 bytes in base64, as on a card. The secret key is one that the node admits (a member's link key; --node-secret derives
it from that member's node secret); without it only strangers' attacks run. With --pid, the node's resident memory is watched
and has to stay below --max-rss. After each attack an admitted key must get through again.

Exit status: 0 all was refused as it must be; 1 something was not; 2 usage. One line for each attack: `ok NAME: what was seen` or
`FAILED NAME: what was seen`.
"""
import argparse
import base64
import hashlib
import json
import os
import select
import signal
import socket
import sys
import time

import nacl.bindings
import zmq
from zmq.utils.monitor import recv_monitor_message

FRAME_MAX = 320 * 1024
PATIENCE_S = 15
EVENTS = (zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
          | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED)
UP = zmq.EVENT_HANDSHAKE_SUCCEEDED
REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
NAMES = {UP: 'let in', REFUSED: 'refused', zmq.EVENT_DISCONNECTED: 'cut off', None: 'nothing happened'}


# Each attack is a process of its own (see apart()): a libzmq that is cut off while it closes may abort.


class Memory:
    """The most resident memory of a process seen so far, in bytes; knows nothing when there is no process to watch."""

    def __init__(self, pid):
        self.pid = pid
        self.peak = 0

    def now(self):
        if self.pid is None:
            return 0
        with open(f'/proc/{self.pid}/statm', encoding='ascii') as f:
            resident = int(f.read().split()[1]) * 4096
        self.peak = max(self.peak, resident)
        return resident


class Peer:
    """A CURVE client: a DEALER and what became of its connection."""

    def __init__(self, target, secret, server_key=None, mechanism='CURVE'):
        self.socket = target.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.reconnect_ivl = 100
        if mechanism == 'CURVE':
            self.socket.curve_serverkey = server_key or target.server_key
            self.socket.curve_secretkey = secret
            self.socket.curve_publickey = nacl.bindings.crypto_scalarmult_base(secret)
        self.monitor = self.socket.get_monitor_socket(EVENTS)
        self.socket.connect(f'tcp://{target.host}:{target.port}')

    def event(self, wait_s=0.0):
        if not self.monitor.poll(wait_s * 1000):
            return None
        return recv_monitor_message(self.monitor)['event']

    def await_event(self, wanted, wait_s=PATIENCE_S):
        """True when one of the wanted events comes in time; the others are passed over."""
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            if self.event(0.1) in wanted:
                return True
        return False

    def close(self):
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Target:
    def __init__(self, args):
        self.context = None  # of the process that attacks
        self.host, self.port = args.host, args.port
        self.server_key = args.server_key
        self.secret = args.secret_key


def check_alive(target):
    """An admitted key still gets through; a node that is just binding anew has a few seconds."""
    if target.secret is None:
        with socket.create_connection((target.host, target.port), timeout=PATIENCE_S):
            return True, ''
    with Peer(target, target.secret) as p:
        return p.await_event([UP]), 'an admitted key did not get through'


def outcome_of(target, secret, **options):
    """What a handshake comes to, within a few seconds."""
    with Peer(target, secret, **options) as p:
        return p.event(5.0)


def attack_stranger(target):
    """A key that nobody knows is refused by name."""
    outcomes = {outcome_of(target, nacl.bindings.randombytes(32)) for _ in range(5)}
    return outcomes == {REFUSED}, 'five random keys: ' + ', '.join(NAMES.get(o, str(o)) for o in outcomes)


def attack_wrong_server_key(target):
    """Whoever does not know the node's key learns nothing and gets no session."""
    with Peer(target, nacl.bindings.randombytes(32), server_key=nacl.bindings.randombytes(32)) as p:
        up = p.await_event([UP], 3)
    return not up, 'let in' if up else 'no session'


def attack_no_curve(target):
    """Without CURVE there is no session."""
    with Peer(target, None, mechanism='NULL') as p:
        up = p.await_event([UP], 3)
    return not up, 'let in' if up else 'no session'


def attack_garbage(target):
    """Bytes that are no ZMTP end the connection or are waited for no longer than a handshake may last."""
    with socket.create_connection((target.host, target.port), timeout=PATIENCE_S) as s:
        s.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' * 10)
        closed = is_closed(s, PATIENCE_S)
    return closed, 'closed' if closed else 'still open'


def is_closed(s, wait_s):
    """The other end closes within the time; what it sends meanwhile is read and forgotten."""
    end = time.monotonic() + wait_s
    s.setblocking(False)
    while time.monotonic() < end:
        select.select([s], [], [], 0.2)
        try:
            if s.recv(65536) == b'':
                return True
        except BlockingIOError:
            pass
        except ConnectionError:
            return True
    return False


def attack_large_handshakes(target):
    """Strangers who fill their handshakes up to the limit are cut off within seconds."""
    greeting = b'\xff' + bytes(8) + b'\x7f\x03\x01' + b'CURVE'.ljust(20, b'\0') + bytes(32)
    size = FRAME_MAX - 1024
    command = b'\x06' + size.to_bytes(8, 'big') + bytes(size - 1)
    strangers = {}
    for _ in range(400):
        s = socket.create_connection((target.host, target.port), timeout=PATIENCE_S)
        s.setblocking(False)
        strangers[s] = memoryview(greeting + command)
    end = time.monotonic() + PATIENCE_S
    while strangers and time.monotonic() < end:
        writing = [s for s, rest in strangers.items() if rest]
        readable, writable, _ = select.select(list(strangers), writing, [], 0.2)
        for s in set(readable) | set(writable):
            try:
                if s in writable:
                    strangers[s] = strangers[s][s.send(strangers[s][:65536]):]
                if s not in readable or s.recv(4096) != b'':
                    continue
            except BlockingIOError:
                continue
            except ConnectionError:
                pass
            s.close()
            del strangers[s]
    left = len(strangers)
    for s in strangers:
        s.close()
    return left == 0, f'{400 - left} of 400 cut off'


def attack_oversized_frame(target):
    """A frame over the limit costs an admitted peer its connection."""
    with Peer(target, target.secret) as p:
        if not p.await_event([UP]):
            return False, 'the secret key is not admitted'
        p.socket.send(bytes(FRAME_MAX + 1))
        cut = p.await_event([zmq.EVENT_DISCONNECTED])
    return cut, 'cut off' if cut else 'still connected'


def attack_multi_part(target):
    """Messages of several parts are heard by nobody."""
    with Peer(target, target.secret) as p:
        if not p.await_event([UP]):
            return False, 'the secret key is not admitted'
        for _ in range(100):
            p.socket.send_multipart([b'one', b'two', b'three'])
        answered = p.socket.poll(2000)
    return not answered, 'answered' if answered else 'no answer'


def attack_multi_part_flood(target):
    """Parts that do not end (2 GB) fill no memory: the session is cut off on the way."""
    part = bytes(256 * 1024)
    p = Peer(target, target.secret)  # left open: its process ends
    if not p.await_event([UP]):
        return False, 'the secret key is not admitted'
    for _ in range(2):
        for _ in range(4000):
            p.socket.send(part, zmq.SNDMORE | zmq.DONTWAIT, copy=False)
        p.socket.send(b'', zmq.DONTWAIT)
    cut = p.await_event([zmq.EVENT_DISCONNECTED], 2 * PATIENCE_S)
    return cut, 'cut off' if cut else 'never cut off'


# Name, function, whether it needs an admitted key. Also the order.
ATTACKS = [
    ('stranger', attack_stranger, False),
    ('wrong-server-key', attack_wrong_server_key, False),
    ('no-curve', attack_no_curve, False),
    ('garbage', attack_garbage, False),
    ('large-handshakes', attack_large_handshakes, False),
    ('oversized-frame', attack_oversized_frame, True),
    ('multi-part', attack_multi_part, True),
    ('multi-part-flood', attack_multi_part_flood, True),
]


def key(text):
    raw = base64.b64decode(text, validate=True)
    if len(raw) != 32:
        raise argparse.ArgumentTypeError('a key is 32 bytes in base64')
    return raw


def link_secret_of(path):
    """The CURVE secret key of a node secret: crypto_kdf of libsodium, sub-key 1, context "enllink_"."""
    with open(path, 'rb') as f:
        secret = f.read()
    if len(secret) != 32:
        raise argparse.ArgumentTypeError('a node secret is 32 bytes')
    return hashlib.blake2b(b'', digest_size=32, key=secret, salt=(1).to_bytes(8, 'little').ljust(16, b'\0'),
                           person=b'enllink_'.ljust(16, b'\0')).digest()


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--host', default='127.0.0.1')
    p.add_argument('--port', type=int, required=True)
    p.add_argument('--server-key', type=key, required=True, help="the node's public link key")
    p.add_argument('--secret-key', type=key, help='a secret link key that the node admits')
    p.add_argument('--node-secret', dest='secret_key', type=link_secret_of, metavar='FILE')
    p.add_argument('--pid', type=int, help='the node, to watch its memory')
    p.add_argument('--max-rss', type=int, metavar='MIB')
    p.add_argument('attacks', nargs='*', metavar='ATTACK', help=', '.join(name for name, _, _ in ATTACKS))
    args = p.parse_args()
    unknown = set(args.attacks) - {name for name, _, _ in ATTACKS}
    if unknown:
        p.error('no such attack: ' + ', '.join(sorted(unknown)))
    return args


def apart(target, memory, function):
    """Calls the function in a process of its own and watches the node's memory meanwhile."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            target.context = zmq.Context(io_threads=1)
            target.context.max_sockets = 2048
            result = function(target)
        except OSError as e:
            result = False, f'{function.__name__}: {e.strerror}'
        os.write(writing, json.dumps(result).encode())
        os._exit(0)  # without closing a socket
    os.close(writing)
    end = time.monotonic() + 4 * PATIENCE_S
    while not select.select([reading], [], [], 0.02)[0] and time.monotonic() < end:
        memory.now()
    text = os.read(reading, 65536) if time.monotonic() < end else b''
    os.close(reading)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return json.loads(text) if text else (False, 'the attack came to no end')


def run(target, memory, function, max_rss):
    memory.peak = 0
    before = memory.now()
    good, seen = apart(target, memory, function)
    alive, why = apart(target, memory, check_alive)
    if not alive:
        good, seen = False, f'{seen}; afterwards {why}'
    if memory.pid is not None:
        now = memory.now()
        seen += f'; memory {before >> 20} MiB, at most {memory.peak >> 20}, now {now >> 20}'
        if max_rss is not None and memory.peak > max_rss << 20:
            good, seen = False, f'{seen}: over {max_rss}'
    return good, seen


def main():
    args = parse()
    target, memory = Target(args), Memory(args.pid)
    failed = 0
    for name, function, needs_key in ATTACKS:
        if (args.attacks and name not in args.attacks) or (needs_key and target.secret is None):
            continue
        good, seen = run(target, memory, function, args.max_rss)
        failed += not good
        print(f'{"ok" if good else "FAILED"} {name}: {seen}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
