"""What a node does not take from another node: strangers, false Hellos, spoilt batches, what is not for it, floods."""

import os

import nacl.signing

import harness
from harness import check, equal, notes
from harness.node import Network, course, uuid7
from harness.peer import ZERO, Batch, Peer, course_event, event_messages, leaf, link, log

PLAYED, NODE, THIRD = "ugent.be", "rug.nl", "ut.ee"


def case(*running, **options):
    """A network in which ugent.be is played from here, and rug.nl is a node that runs. Returns it and the two."""
    network = Network([NODE, PLAYED, THIRD], silent=[PLAYED], **options).start(NODE, *running)
    return network, network.members[PLAYED], network[NODE]


def check_refused(answer, code, what):
    kind, message = answer or (None, None)
    equal((kind, getattr(message, "code", None)), ("refuse", code), f"{what}: {message}")


def delivered(member, node, batch, announced=None, **changes):
    """Announces a batch, or another one of its channel, delivers it in a session of its own and returns the node's answer."""
    peer = Peer(member, node).meet()
    peer.announce(announced or batch)
    if announced:
        peer.wait_fetch()
    peer.deliver(batch, **changes)
    answer = peer.answer()
    peer.close()
    return answer


def batch_of(member, *events, audience="network", **fields):
    return Batch(member, audience, list(events) or [course_event()], **fields).finish()


def check_nothing(node):
    equal(node.events(source=PLAYED), [], "events that were taken in")


def check_well(member, node):
    """The node is none the worse: it takes a good batch and publishes."""
    equal(delivered(member, node, batch_of(member))[0], "receipt", "a good batch")
    equal(node.post(course(NODE)).status, 201, "an event of its own")


def test_strangers():
    """A key that nobody has gets no answer at all, and is counted"""
    network, member, node = case()
    stranger = Peer(member, node, notes.NodeKeys()).dial()
    stranger.send(hello=link().Hello(claim=stranger.claim()))
    harness.wait_until(lambda: node.metric("enlight_link_keys_refused_total"), "the stranger is counted")
    equal(stranger.receive("hello", "refuse", seconds=1), None, "what the node says to a stranger")
    stranger.close()
    check_well(member, node)


def test_hellos():
    """A Hello with one thing wrong is refused with that reason's code, and no session comes of it"""
    network, member, node = case()
    third = network.members[THIRD]
    other = notes.NodeKeys()
    cases = [
        ("a version of the future", {"version": 9, "oldest": 9}, 3),
        ("another network", {"network": os.urandom(32)}, 4),
        ("to somebody else", {"to": THIRD}, 5),
        ("from nobody of the network", {"from": "example.org"}, 5),
        ("from another member over one's own connection", {"from": THIRD}, 6),
        ("another's link key", {"from_link": third.keys[0].link_public}, 6),
        ("a link key of ours that is not", {"to_link": other.link_public}, 6),
        ("a key number that the card does not have", {"key": 2}, 6),
        ("an ephemeral key that gives nothing", {"ephemeral": ZERO}, 6),
        ("a nonce that is too short", {"nonce": b"short"}, 2),
        ("a network that is too short", {"network": b"short"}, 2),
        ("versions the wrong way round", {"version": 1, "oldest": 2}, 2),
        ("a handle that is none", {"from": "Ghent"}, 2),
    ]
    for what, changes, code in cases:
        peer = Peer(member, node).dial()
        peer.send(hello=link().Hello(claim=peer.claim(**changes)))
        check_refused(peer.receive("hello", "refuse"), code, what)
        peer.close()
    peer = Peer(member, node).dial()
    peer.hello(sign_with=nacl.signing.SigningKey.generate())
    check_refused(peer.receive("note", "refuse"), 6, "another key's signature")
    peer.close()
    equal(node.peer(PLAYED)["state"] == "live", False, "a session")
    check_well(member, node)


def test_session():
    """Frames without the session, or of an old one, are refused; an old session's Hello cannot be played again"""
    network, member, node = case()
    peer = Peer(member, node).dial()
    peer.send(session=os.urandom(16), heads=link().Heads())
    check_refused(peer.receive("refuse"), 1, "a session that never was")
    old = peer.claim()
    peer.send(hello=link().Hello(claim=old))
    peer.expect("hello")
    peer.close()
    again = Peer(member, node).dial()
    again.send(hello=link().Hello(claim=old))
    first = again.expect("hello")
    again.send(hello=link().Hello(signature=os.urandom(64)))
    check_refused(again.receive("note", "refuse"), 6, "a Hello played again, whose ephemeral secret is gone")
    check(first.claim, "its answer is a claim of its own", first)
    again.close()
    check_well(member, node)


def test_hello_again():
    """Who has lost its session says Hello over the same connection, and is answered at once"""
    network, member, node = case()
    peer = Peer(member, node).meet()
    peer.session, peer.seen = None, []
    peer.hello()
    peer.expect("note", seconds=5)
    peer.close()
    check_well(member, node)


def flipped(data, at):
    """The same bytes but for one bit."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1:]


@harness.limit(240)
def test_flipped_bits():
    """One bit wrong anywhere in a batch, and it is refused and nothing of it is written; the batch itself is then taken"""
    network, member, node = case()
    batch = batch_of(member, *[course_event() for _ in range(3)])
    places = 0
    for part in ("header", "signature", "key", "body"):
        length = {"header": len(batch.packed), "signature": 64, "key": 72, "body": len(batch.body)}[part]
        for at in range(0, length, max(1, length // 16)):
            peer = Peer(member, node).meet()
            whole = {"header": batch.packed, "signature": batch.signature, "body": batch.body, "key": peer.wrap(batch)}
            peer.announce(batch)
            peer.deliver(batch, **{part: flipped(whole[part], at)})
            kind, message = peer.answer()
            check(kind == "refuse" and message.code in (2, 11, 14), f"a bit of byte {at} of the {part}", kind, message)
            peer.close()
            places += 1
    check(places >= 60, "enough places were tried", places)
    check_nothing(node)
    equal(delivered(member, node, batch)[0], "receipt", "the batch as it was")
    equal(len(node.events(source=PLAYED)), 3, "events taken in")


def test_wrong_batches():
    """A batch for another audience, network or incarnation, in another's name, or unlike its root is refused; nothing is written"""
    network, member, node = case()
    third = network.members[THIRD]
    gone = leaf(course_event())
    cases = [
        ("of a channel that was not asked for", batch_of(member, audience=NODE), 14),
        ("for another audience", batch_of(member, audience=THIRD), 14),
        ("of another network", batch_of(member, network=os.urandom(32)), 11),
        ("published by another member", batch_of(third), 14),
        ("published by another, signed by this one", batch_of(member, publisher=THIRD), 14),
        ("under a key that the card does not have", batch_of(member, key=7), 11),
        ("with another root", batch_of(member, root=os.urandom(32)), 11),
        ("with fewer slots than it says", batch_of(member, count=2), 11),
        ("of no format", batch_of(member, format=0), 2),
        ("of a later suite", batch_of(member, suite=2), 2),
        ("with an event left out and no erasure", batch_of(member, course_event(), ("leaf", gone)), 11),
        ("that begins a channel without saying so", batch_of(member, previous=os.urandom(32)), 2),
        ("of incarnation 0", batch_of(member, incarnation=0), 2),
        ("of a publisher who is in the audience", batch_of(member, audience=f"{NODE},{PLAYED}"), 2),
    ]
    good = batch_of(member)
    for what, batch, code in cases:
        check_refused(delivered(member, node, batch, good), code, what)
    check_nothing(node)
    check_well(member, node)


def test_refused_by_a_reader():
    """A reader that does not accept what the node published raises the alarm there, and so does a head of a later format"""
    network, member, node = case()
    peer = Peer(member, node).meet()
    channel = link().Channel(publisher=NODE, audience=["network"])
    peer.send(refuse=link().Refuse(code=11, channel=channel))
    harness.wait_until(lambda: node.metric("enlight_batches_refused_by_readers_total") == 1, "it is counted")
    check("refused a batch of ours" in node.peer(PLAYED)["last_error"], "it is shown at the peer", node.peer(PLAYED))
    peer.announce(batch_of(member, suite=2))
    harness.wait_until(lambda: "later version" in node.peer(PLAYED)["last_error"], "the later format is shown at the peer")


def test_gap():
    """A batch that leaves something out is not taken; the node asks again from where it is, and gets the whole"""
    network, member, node = case()
    first = batch_of(member)
    second = first.next([course_event()]).finish()
    third = second.next([course_event()]).finish()
    equal(delivered(member, node, first)[0], "receipt", "the first")
    peer = Peer(member, node).meet()
    peer.announce(third)
    peer.wait_fetch()
    peer.deliver(third)
    wish = peer.wait_fetch()
    equal((wish.sequence, wish.digest), (1, first.digest), "where it asks from")
    peer.deliver(second)
    peer.deliver(third)
    harness.wait_until(lambda: len(node.events(source=PLAYED)) == 3, "all three are there")
    equal([one["sequence"] for one in node.events(source=PLAYED)], [1, 2, 3], "their order")
    check(node.metric("enlight_gaps_total") >= 1, "the gap is counted")


def test_replay():
    """A batch that comes twice is there once, and its receipt is given again"""
    network, member, node = case()
    batch = batch_of(member)
    for _ in range(3):
        kind, receipt = delivered(member, node, batch, batch)
        equal((kind, receipt.to, receipt.head), ("receipt", 1, batch.digest), "the answer")
    equal(len(node.events(source=PLAYED)), 1, "events taken in")


def test_wrong_place():
    """A batch that does not follow what is held is refused, and what was held stays"""
    network, member, node = case()
    first = batch_of(member)
    delivered(member, node, first)
    wrong = first.next([course_event()], previous=os.urandom(32)).finish()
    check_refused(delivered(member, node, wrong), 11, "another predecessor")
    equal(len(node.events(source=PLAYED)), 1, "events taken in")
    good = first.next([course_event()]).finish()
    equal(delivered(member, node, good)[0], "receipt", "the one that follows")


def test_fork():
    """Two histories of one channel stop it, with an alarm; all other channels go on"""
    network, member, node = case()
    delivered(member, node, batch_of(member))
    check_refused(delivered(member, node, batch_of(member)), 11, "another first batch")
    channel = harness.wait_until(lambda: (lambda c: c if c["state"] == "stopped" else None)(node.channel(PLAYED, "network")),
                                 "the channel is stopped")
    equal(channel["last"], 1, "what is held of it")
    equal(node.metric("enlight_forks_total") >= 1, True, "the fork is counted")
    equal(delivered(member, node, batch_of(member, audience=NODE))[0], "receipt", "another channel of this member")


def test_going_back():
    """A publisher that had to go back goes on in a new incarnation: what it left out is set aside, and the alarm is raised"""
    network, member, node = case()
    first = batch_of(member)
    lost = first.next([course_event(), course_event()]).finish()
    again = first.next([course_event()], incarnation=2, after=(1, first.digest)).finish()
    for batch in (first, lost, again):
        equal(delivered(member, node, batch)[0], "receipt", "the batch is taken")
    shown = node.events(source=PLAYED)
    equal([(one["incarnation"], one["sequence"]) for one in shown], [(1, 1), (2, 2)], "the history")


def nomination_event(sender, receiver, **changes):
    """A packed nomination by whoever: a node that checks would not publish some of them."""
    mobility_id = uuid7()
    data = event_messages("mobility").Nomination(mobility_id=mobility_id, receiving_academic_year="2026/2027",
                                                 activity_type="student-studies")
    data.sending.hei_id, data.receiving.hei_id = sender, receiver
    person = f"{sender}:b41887"
    data.student.person_id = person
    data.student.names.add(given="Kadri", family="Tamm")
    fields = {"type": "eu.enlight.mobility.nomination.v1", "subject": f"mobility/{mobility_id}", "data_class": "personal",
              "person": [person], "data": data.SerializeToString(), "keep_until": "2033-11-23"}
    return course_event(**{**fields, **changes})


def test_wrong_events():
    """An event that its publisher's node should have refused is stored and receipted as refused, with the reason, and shown as that"""
    network, member, node = case()
    course_id = uuid7()
    good = nomination_event(PLAYED, NODE)
    cases = [
        ("good", good, "accepted"),
        ("about another's object", nomination_event(THIRD, NODE), "refused"),
        ("a person who is not named", nomination_event(PLAYED, NODE, person=[]), "refused"),
        ("a class that is not its topic's", nomination_event(PLAYED, NODE, data_class="public"), "refused"),
        ("data that is no message", course_event(data=b"\xff\xff\xff"), "refused"),
        ("a text that is not UTF-8", course_event(course_id, data=b"\x0a\x02\xff\xfe"), "refused"),
        ("a field missing", course_event(course_id, data=b"\x0a\x01x"), "refused"),
        ("a subject of another family", course_event(subject="mobility/1"), "refused"),
        ("a topic of the future", course_event(type="eu.enlight.canteen.menu.v1", subject="canteen/1"), "accepted"),
        ("good, too", nomination_event(PLAYED, NODE), "accepted"),
    ]
    batch = batch_of(member, *[event for _, event, _ in cases], audience=NODE)
    kind, receipt = delivered(member, node, batch)
    equal((kind, receipt.to), ("receipt", len(cases)), "the receipt covers all of them")
    shown = node.events(source=PLAYED)
    equal([(what, one["state"]) for (what, _, _), one in zip(cases, shown)], [(what, state) for what, _, state in cases],
          "states")
    check(all(one.get("reason") for one in shown if one["state"] == "refused"), "each refusal has a reason", shown)
    to_all = batch_of(member, nomination_event(PLAYED, NODE))
    equal(delivered(member, node, to_all)[0], "receipt", "personal data to the whole network")
    equal(node.events(source=PLAYED, audience="network")[0]["state"], "refused", "its state")


def test_entitlement():
    """A member gets no channel that is not its own to read, whether it exists or not, and no place that never was"""
    network, member, node = case()
    node.publish([course(NODE, THIRD), course(NODE, PLAYED)])
    peer = Peer(member, node).meet()
    seen = peer.receive("heads")[1]
    audiences = {tuple(log().Header.FromString(head.header).audience) for head in seen.head}
    equal(audiences, {(PLAYED,)}, "channels that are announced")
    for publisher, audience in ((NODE, THIRD), (NODE, "network,ugent.be"), (THIRD, "network"), ("example.org", "network")):
        peer.fetch(publisher, audience)
        answer = peer.receive("deliver", "refuse")
        check_refused(answer, 9, f"{publisher} to {audience}")
        if audience == THIRD:
            equal((answer[1].channel.publisher, list(answer[1].channel.audience)), (publisher, [THIRD]), "which channel")
    peer.fetch(NODE, PLAYED, sequence=9, incarnation=1, digest=os.urandom(32))
    check_refused(peer.receive("deliver", "refuse"), 10, "a place that never was")
    peer.fetch(NODE, PLAYED)
    header, events = peer.open(peer.expect("deliver"))
    equal((header.first, len(events)), (1, 1), "its own channel")


def test_credit():
    """A node sends no more than it was given credit for, and goes on when there is more"""
    network, member, node = case()
    said = node.publish([course(NODE, PLAYED, title="x" * 30_000) for _ in range(20)])
    equal([one["sequence"] for one in said], list(range(1, 21)), "sequences, over several batches")
    peer = Peer(member, node).meet()
    peer.fetch(NODE, PLAYED, credit=1)
    first = peer.expect("deliver")
    equal(peer.receive("deliver", seconds=2), None, "more than there was credit for")
    peer.send(fetch=link().Fetch(credit=64 << 20))
    last = peer.open(first)[0]
    while last.first + last.count <= 20:
        last = peer.open(peer.expect("deliver"))[0]


@harness.limit(240)
def test_silent_reader():
    """A reader that gives all the credit there is and takes nothing costs the others nothing, and gets everything when it goes on"""
    network, member, node = case(THIRD, build=harness.PLAIN_BUILD)  # a sanitizer keeps more memory than the node may use
    node.publish([course(NODE)])
    peer = Peer(member, node)
    peer.dial(buffer=1).hello()
    peer.expect("note")
    peer.fetch(NODE, "network", credit=64 << 20)
    for _ in range(10):
        node.publish([course(NODE, title="x" * 30_000) for _ in range(20)])
    network[THIRD].wait_for(NODE, "network", 201)
    last = 0
    while last < 201:
        header, events = peer.open(peer.expect("deliver"))
        equal(header.first, last + 1, "the next batch")
        last = header.first + header.count - 1


def test_floods():
    """Frames of several parts, too large or without sense do no harm: the node stays up, small and open to others"""
    network, member, node = case(THIRD)
    before = node.memory_kb("VmHWM")
    peer = Peer(member, node).meet()
    for _ in range(200):
        peer.send_bytes(*[b"x" * 100_000] * 8)
    peer.close()
    peer = Peer(member, node).dial()
    for _ in range(20):
        peer.send_bytes(b"x" * (400 * 1024))
    peer.close()
    peer = Peer(member, node).dial()
    for n in range(500):
        peer.send_bytes(os.urandom(n))
    peer.close()
    check_well(member, node)
    network[THIRD].wait_for(NODE, "network", 1)
    grown = node.memory_kb("VmHWM") - before
    check(grown < 150_000, "memory stays within bounds", f"{grown} kB more, under a sanitizer")


if __name__ == "__main__":
    harness.main()
