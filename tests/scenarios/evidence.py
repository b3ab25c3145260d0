"""Evidence with real nodes: a publisher and a reader write files about one event, and others judge them who have neither node nor
network, with `enlight verify` and with proto/verify.py."""

import json
import subprocess

import harness
from harness import check, equal, wait_until
from harness.node import Network, nomination
from harness.verifiers import judge


def test_a_file_for_whoever_has_no_node():
    """What the two nodes of an event write proves it in an empty folder; a changed byte or another network does not"""
    network = Network(["rug.nl", "ugent.be"]).start("rug.nl", "ugent.be")
    rug, ugent = network["rug.nl"], network["ugent.be"]
    events = [nomination("rug.nl", "ugent.be") for _ in range(5)]
    for event in events:
        rug.publish(event)
    rug.wait_receipt("ugent.be", "ugent.be", 5)
    rows = json.loads(rug.enlight("receipts", "--json").stdout)
    equal([(row["reader"], row["to"], row["last"], row["uncovered"]) for row in rows], [("ugent.be", 5, 5, 0)], "receipts")
    rows = json.loads(ugent.enlight("receipts", "--source", "rug.nl", "--json").stdout)
    equal([(row["reader"], row["to"]) for row in rows], [("ugent.be", 5)], "what the reader signed")
    check("ugent.be" in rug.enlight("receipts").stdout, "a table")

    folder = harness.folder("verifier")
    event = events[2]
    for name, node in (("publisher", rug), ("reader", ugent)):
        said = node.enlight("evidence", "rug.nl", event["id"], "--output", folder / name).stderr
        check("enlight verify" in said, "what to do with it", said)
    digest = json.loads(rug.enlight("roster", "show", "--json").stdout)["digest"]
    for name in ("publisher", "reader"):
        said = judge(rug, digest, folder, name)
        for finding in (("proves", "published", "rug.nl"), ("proves", "member", "rug.nl"), ("proves", "receipt", "ugent.be"),
                        ("does not prove", "branch", "")):
            check(finding in said, finding, said)
    shown = subprocess.run([rug.build / "node/enlight", "verify", "--data", "--network", digest, "reader"], cwd=folder,
                           capture_output=True, text=True, check=True).stdout
    check("reader: proved" in shown and '"Kadri"' in shown, "in words, with the data", shown)

    equal(judge(rug, "ab" * 32, folder, "reader", expect=1), [("broken", "network", "note/0")], "another network")
    data = bytearray((folder / "reader").read_bytes())
    data[data.index(b"Kadri")] ^= 1
    (folder / "changed").write_bytes(data)
    equal(judge(rug, digest, folder, "changed", expect=1), [("broken", "path", "event")], "a changed byte")
    rug.enlight("evidence", "rug.nl", "no-such-id", expect=66)
    acts = [event["data"] for event in rug.events(topic="node.act", data="true")]
    check(any("events.read" in act.values() for act in acts), "the audit trail", acts)


def test_a_checkpoint_of_the_day():
    """What was published before midnight is named by the day's checkpoint, and the publisher's file has it with receipts of who cannot read it"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"])
    rug = network["rug.nl"]
    clock = network.folder / "ahead"
    clock.write_text("0")
    for node in network.nodes:
        node.ahead = clock
    network.start()
    event = nomination("rug.nl", "ugent.be")
    rug.publish(event)
    rug.wait_receipt("ugent.be", "ugent.be", 1)
    equal(rug.count(topic="node.checkpoint"), 0, "checkpoints on the first day")
    (network.folder / "tomorrow").write_text("86400")
    (network.folder / "tomorrow").rename(clock)
    wait_until(lambda: rug.count(topic="node.checkpoint", source="rug.nl") == 1, "a checkpoint on the second")
    for reader in ("ugent.be", "ut.ee"):
        rug.wait_receipt("network", reader, 1)
    equal(network["ut.ee"].count(topic="node.checkpoint", source="rug.nl"), 1, "checkpoints at who cannot read the event")
    folder = harness.folder("verifier")
    rug.enlight("evidence", "rug.nl", event["id"], "--output", folder / "older")
    said = judge(rug, network.anchor, folder, "older")
    for finding in (("proves", "checkpoint", ""), ("proves", "witness", "ut.ee"), ("proves", "receipt", "ugent.be")):
        check(finding in said, finding, said)


if __name__ == "__main__":
    harness.main()
