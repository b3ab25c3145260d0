"""peer - a member played from Python over a real link, well or badly: Hellos, heads, batches, receipts, as proto/README.md has them.

It dials a node and speaks the contract with code of its own. Each step can be spoilt from outside, which is what it is for.
"""

import atexit
import functools
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
import time

import nacl.bindings as sodium
import zmq

import harness
from harness import check, notes

WAIT_S = 30
ZERO = bytes(32)


@functools.cache
def messages():
    """The modules of log.proto and link.proto, compiled for Python; a file each, for as long as the process runs."""
    folder = tempfile.mkdtemp(prefix="enl-proto-")
    atexit.register(shutil.rmtree, folder)
    harness.run(["protoc", f"--proto_path={harness.ROOT}/proto", f"--python_out={folder}",
                 *(harness.ROOT / "proto").rglob("*.proto")])
    sys.path.insert(0, folder)
    return importlib.import_module("enlight.log.v1.log_pb2"), importlib.import_module("enlight.link.v1.link_pb2")


def log():
    return messages()[0]


def link():
    return messages()[1]


def event_messages(name):
    messages()
    return importlib.import_module(f"enlight.event.v1.{name}_pb2")


def h(*parts):
    return hashlib.blake2b(b"".join(parts), digest_size=32).digest()


def leaf(event):
    return h(b"\0", event)


def header_digest(header):
    return h(b"\2", header)


def root(leaves):
    """RFC 6962, section 2.1."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return h(b"\1", root(leaves[:split]), root(leaves[split:]))


def sign(key, domain, data):
    return key.sign(domain + b"\0" + data).signature


def seal(key, nonce, associated, plain):
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, nonce, key)


def unseal(key, nonce, associated, sealed):
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, associated, nonce, key)


def course_event(course_id=None, source=None, **changes):
    """A packed Event of a course, with all that a publisher's node adds."""
    from harness.node import uuid7
    course_id = course_id or uuid7()
    data = event_messages("course").CourseOffering(course_id=course_id)
    data.title.add(lang="en", value="Game Theory")
    fields = {"salt": os.urandom(16), "id": uuid7(), "type": "eu.enlight.course.offering.v1",
              "subject": f"course/{course_id}", "time": "2026-11-23T09:30:00Z", "revision": 1,
              "data": data.SerializeToString(), "data_class": "public", "keep_until": "2036-11-23"}
    return log().Event(**{**fields, **changes}).SerializeToString()


class Batch:
    """A batch under construction: `header` may be changed until it is signed."""

    def __init__(self, member, audience, slots, after=None, first=1, previous=ZERO, **fields):
        self.member, self.key = member, member.keys[-1]
        self.slots = [slot if isinstance(slot, tuple) else ("event", slot) for slot in slots]
        network = member.network
        leaves = [leaf(data) if kind == "event" else data for kind, data in self.slots]
        self.header = log().Header(
            format=1, suite=1, network=notes.note_digest(network.rosters[0]), publisher=member.handle,
            audience=audience.split(","), incarnation=1, first=first, count=len(slots), previous=previous,
            root=root(leaves), time_ms=time.time_ns() // 1_000_000, roster=notes.note_digest(network.rosters[-1]),
            card=notes.note_digest(member.card()), key=self.key.number)
        for name, value in fields.items():
            setattr(self.header, name, value)
        if first == 1 and after is None:
            after = (0, ZERO)
        if after:
            self.header.after.sequence, self.header.after.digest = after

    def finish(self):
        """Signs and seals what stands in it now."""
        self.packed = self.header.SerializeToString()
        self.signature = sign(self.key.sign, b"enlight header 1", self.packed)
        self.batch_key = os.urandom(32)
        body = log().Body()
        for kind, data in self.slots:
            body.slot.add(**{kind: data})
        self.body = seal(self.batch_key, bytes(24), self.packed + self.signature, body.SerializeToString())
        self.digest = header_digest(self.packed)
        return self

    @property
    def last(self):
        return self.header.first + self.header.count - 1

    @property
    def head(self):
        return link().Head(header=self.packed, signature=self.signature)

    def next(self, slots, **fields):
        """The batch that follows this one."""
        return Batch(self.member, ",".join(self.header.audience), slots,
                     **{"first": self.last + 1, "previous": self.digest, **fields})


class Refused(Exception):
    def __init__(self, refuse):
        super().__init__(f"refused with {refuse.code}: {refuse.reason}")
        self.code = refuse.code


class Peer:
    """A member's node, as far as a test needs one. It must be the only one that plays this member."""

    def __init__(self, member, node, keys=None):
        self.member, self.node, self.keys = member, node, keys or member.keys[-1]
        self.session = self.session_key = None
        self.sent = 0  # frames of the session
        self.boot = os.urandom(16)
        self.context = zmq.Context()
        self.socket = None
        self.seen = []  # frames that were read while another kind was waited for
        harness.at_exit(self.close)

    def close(self):
        if self.socket is not None:
            self.socket.close(0)
            self.socket = None
        self.context.term()

    # the connection

    def dial(self, secret=None, public=None, buffer=None):
        """Opens the connection; CURVE's handshake goes on by itself. With a buffer of so many frames, what is not read stays with the node."""
        self.socket = self.context.socket(zmq.DEALER)
        if buffer:
            self.socket.setsockopt(zmq.RCVHWM, buffer)
            self.socket.setsockopt(zmq.RCVBUF, 4096)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.SNDTIMEO, 2000)
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, self.node.member.keys[-1].link_public)
        self.socket.setsockopt(zmq.CURVE_PUBLICKEY, public or self.keys.link_public)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, secret or self.keys.link_secret)
        self.socket.connect(self.node.member.endpoint)
        return self

    def send_bytes(self, data, *further):
        """Sends a message; false: the other end has not taken the connection, or takes no more."""
        try:
            self.socket.send_multipart([data, *further])
            return True
        except zmq.Again:
            return False

    def send(self, **fields):
        """Sends a frame of the session, if there is one."""
        frame = link().Frame(**fields)
        if self.session and not frame.HasField("session"):
            self.sent += 1
            frame.session, frame.number = self.session, self.sent
        self.send_bytes(frame.SerializeToString())

    def receive(self, *kinds, seconds=WAIT_S):
        """The next frame of one of these kinds, as (kind, message); other frames are kept for later. None: there came none."""
        for i, (kind, message) in enumerate(self.seen):
            if kind in kinds:
                return self.seen.pop(i)
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 or not self.socket.poll(int(left * 1000) + 1):
                return None
            frame = link().Frame.FromString(self.socket.recv())
            for field, message in frame.ListFields():
                if field.name in ("session", "number"):
                    continue
                if field.name in kinds:
                    return field.name, message
                self.seen.append((field.name, message))

    def expect(self, kind, seconds=WAIT_S):
        """The next frame of this kind; a refusal in its place is raised."""
        answer = self.receive(kind, "refuse", seconds=seconds)
        check(answer is not None, f"{self.node.member.handle} answers with {kind} within {seconds} s", self.node.tail())
        if answer[0] != kind:
            raise Refused(answer[1])
        return answer[1]

    # the Hellos

    def claim(self, **changes):
        self.ephemeral = os.urandom(32)
        node = self.node.member
        fields = {"version": 1, "oldest": 1, "network": notes.note_digest(self.member.network.rosters[0]),
                  "from": self.member.handle, "to": node.handle, "from_link": self.keys.link_public,
                  "to_link": node.keys[-1].link_public, "nonce": os.urandom(32),
                  "ephemeral": sodium.crypto_scalarmult_base(self.ephemeral), "boot": self.boot,
                  "key": self.keys.number, "time_ms": time.time_ns() // 1_000_000,
                  "roster": len(self.member.network.rosters)}
        return link().Claim(**{**fields, **changes}).SerializeToString()

    def hello(self, sign_with=None, **changes):
        """All three Hellos. Raises Refused."""
        own = self.claim(**changes)
        self.send(hello=link().Hello(claim=own))
        answer = self.expect("hello")
        other = link().Claim.FromString(answer.claim)
        both = h(own) + h(answer.claim)
        self.node.member.keys[-1].sign.verify_key.verify(b"enlight hello listener 1\0" + both, answer.signature)
        shared = sodium.crypto_scalarmult(self.ephemeral, other.ephemeral)
        self.send(hello=link().Hello(signature=sign(sign_with or self.keys.sign, b"enlight hello dialler 1", both)))
        self.session, self.sent = h(b"enlight session 1\0", both)[:16], 0
        self.session_key = h(b"enlight session key 1\0", shared, both)
        return self

    def meet(self):
        """Connects and says Hello; what the node says first shows that the session stands."""
        self.dial().hello()
        self.expect("note")
        return self

    # the conversation

    def announce(self, *batches):
        heads = link().Heads()
        heads.head.extend(batch.head for batch in batches)
        self.send(heads=heads)

    def wrap(self, batch):
        """The batch's key for this session."""
        nonce = os.urandom(24)
        return nonce + seal(self.session_key, nonce, batch.digest, batch.batch_key)

    def deliver(self, batch, **changes):
        fields = {"header": batch.packed, "signature": batch.signature, "key": self.wrap(batch), "body": batch.body}
        self.send(deliver=link().Deliver(**{**fields, **changes}))

    def offer(self, batch, **changes):
        """Announces a batch, waits until the node asks for it, and delivers it. Returns its answer: receipt or refusal."""
        self.announce(batch)
        self.wait_fetch()
        self.deliver(batch, **changes)
        return self.answer()

    def wait_fetch(self):
        """The node's next wish for a channel; those that only give credit are passed over."""
        while True:
            fetch = self.expect("fetch")
            if fetch.HasField("channel"):
                return fetch

    def answer(self, seconds=WAIT_S):
        """What became of a delivery: ("receipt", Receipt) or ("refuse", Refuse)."""
        kind, message = self.receive("receipt", "refuse", seconds=seconds) or (None, None)
        check(kind is not None, f"{self.node.member.handle} answers a delivery", self.node.tail())
        if kind == "receipt":
            self.node.member.keys[-1].sign.verify_key.verify(b"enlight receipt 1\0" + message.receipt, message.signature)
            return kind, log().Receipt.FromString(message.receipt)
        return kind, message

    def fetch(self, publisher, audience, sequence=0, incarnation=0, digest=b"", credit=1 << 20):
        self.send(fetch=link().Fetch(credit=credit))
        channel = link().Channel(publisher=publisher, audience=audience.split(","))
        self.send(fetch=link().Fetch(channel=channel, incarnation=incarnation, sequence=sequence, digest=digest))

    def open(self, deliver):
        """Opens a delivered batch: header and packed events."""
        header = log().Header.FromString(deliver.header)
        batch_key = unseal(self.session_key, deliver.key[:24], header_digest(deliver.header), deliver.key[24:])
        body = log().Body.FromString(unseal(batch_key, bytes(24), deliver.header + deliver.signature, deliver.body))
        return header, [log().Event.FromString(slot.event) for slot in body.slot]
