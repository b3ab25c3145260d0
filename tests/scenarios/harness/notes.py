"""notes - keys, rosters and cards, made in Python from the contract (proto/README.md) and not by the node's own code.

So a scenario can make a network within milliseconds, spoil what it likes, and what a node accepts has been read by two programs.
"""

import base64
import hashlib
import os

import nacl.bindings
import nacl.signing


def digest(data):
    return hashlib.blake2b(data, digest_size=32).digest()


def derive(secret, context):
    """Sub-key 1 of a context, as crypto_kdf_derive_from_key() makes it."""
    salt = (1).to_bytes(8, "little") + bytes(8)
    return hashlib.blake2b(key=secret, salt=salt, person=context.ljust(16, b"\0"), digest_size=32).digest()


def b64(data):
    return base64.b64encode(data).decode()


class NodeKeys:
    """A node's secret and what follows from it."""

    def __init__(self, number=1, secret=None):
        self.number, self.secret = number, secret or os.urandom(32)
        self.sign = nacl.signing.SigningKey(derive(self.secret, b"enlsign_"))
        self.link_secret = derive(self.secret, b"enllink_")
        self.link_public = nacl.bindings.crypto_scalarmult_base(self.link_secret)

    @property
    def sign_public(self):
        return bytes(self.sign.verify_key)


def signature_line(text, name, key):
    """The line that says: who has this name and key has signed this text."""
    hint = digest(name.encode() + b"\n\x01" + bytes(key.verify_key))[:4]
    return f"— {name} {b64(hint + key.sign(text.encode()).signature)}\n"


def signed(text, *signers):
    """A note: the text, an empty line and a signature of each (name, key)."""
    return text + "\n" + "".join(signature_line(text, name, key) for name, key in signers)


def note_digest(note):
    """What names a roster or card: the digest of its signed part."""
    return digest(note.split("\n\n")[0].encode() + b"\n")


class RosterEntry:
    def __init__(self, handle, identity, country="BE", name=None):
        self.handle, self.identity, self.country, self.name = handle, identity, country, name or f"University of {handle}"

    def line(self):
        return f"member {self.handle} {self.country} {b64(bytes(self.identity.verify_key))} {self.name}\n"


def roster_text(entries, number=1, previous=None, origin=None, quorum=None, network="test"):
    """A roster without signatures. `previous` is the note before it, `origin` the first one."""
    entries = sorted(entries, key=lambda entry: entry.handle.encode())
    return (f"enlight roster 1\nnetwork {network}\nnumber {number}\n"
            f"previous {note_digest(previous).hex() if previous else 'none'}\n"
            + (f"origin {note_digest(origin).hex()}\n" if number > 1 else "")
            + f"quorum {quorum or len(entries) // 2 + 1}\n"
            + "".join(entry.line() for entry in entries))


def card_text(origin, handle, keys, number=1, endpoint=None, takes=("*",), retired=(), revoked=()):
    """A card without signatures."""
    lines = [f"enlight card 1", f"network {note_digest(origin).hex()}", f"member {handle}", f"number {number}"]
    if endpoint:
        lines.append(f"endpoint {endpoint}")
    lines += [f"key {k.number} sign {b64(k.sign_public)} link {b64(k.link_public)}" for k in keys]
    lines += [f"retired {k.number} sign {b64(k.sign_public)}" for k in retired]
    lines += [f"revoked {k.number} sign {b64(k.sign_public)}" for k in revoked]
    lines.append("takes " + " ".join(takes))
    return "\n".join(lines) + "\n"


def card(origin, handle, identity, keys, **options):
    """A good card: signed by the identity key and by each node key in use."""
    text = card_text(origin, handle, keys, **options)
    return signed(text, (handle, identity), *[(f"{handle}+{k.number}", k.sign) for k in keys])
