"""Our proto-JSON against Google's, in both directions: every topic's example, random messages, and what is refused.

Arguments: the program convert, the folder proto/. The seed is printed; JSON_FORMAT_SEED sets another.
"""

import importlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import EncodeError

ROUNDS = 40  # random messages of each type
ALPHABET = "aZ09 -_/~\"\\\n\t<é߀Ωж漢\u2028🎓\x7f"


class Convert:
    """The C program, asked line by line."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().decode().rstrip("\n")

    def topics(self):
        rows = []
        line = self.ask("topics")
        while line != "end":
            rows.append(line.split(" ", 2))
            line = self.process.stdout.readline().decode().rstrip("\n")
        return rows

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def load_messages(proto):
    """Compiles the contract afresh and gives a function from a message's full name to its class."""
    folder = tempfile.TemporaryDirectory()
    files = sorted(pathlib.Path(proto).glob("enlight/event/v1/*.proto"))
    subprocess.run(["protoc", f"--proto_path={proto}", f"--python_out={folder.name}", *map(str, files)], check=True)
    sys.path.insert(0, folder.name)
    modules = [importlib.import_module(f"enlight.event.v1.{f.stem}_pb2") for f in files]

    def find(name):
        short = name.rsplit(".", 1)[1]
        return next(getattr(m, short) for m in modules if hasattr(m, short))

    return folder, find


def random_value(rng, field):
    if field.cpp_type == Field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    if field.cpp_type == Field.CPPTYPE_UINT32:
        return rng.choice([0, 1, 127, 128, 2**32 - 1, rng.getrandbits(32)])
    if field.cpp_type == Field.CPPTYPE_UINT64:
        return rng.choice([0, 1, 2**53 + 1, 2**63, 2**64 - 1, rng.getrandbits(64)])
    if field.type == Field.TYPE_BYTES:
        return rng.randbytes(rng.choice([0, 1, 2, 3, 32, 200]))
    assert field.cpp_type == Field.CPPTYPE_STRING, field.full_name
    return "".join(rng.choice(ALPHABET) for _ in range(rng.choice([0, 1, 5, 130])))


def fill(rng, message):
    """Fills a message at random; what is required is always there."""
    for field in message.DESCRIPTOR.fields:
        if field.label == Field.LABEL_REPEATED:
            values = getattr(message, field.name)
            for _ in range(rng.choice([0, 0, 1, 3])):
                if field.message_type:
                    fill(rng, values.add())
                else:
                    values.append(random_value(rng, field))
        elif field.label == Field.LABEL_REQUIRED or rng.random() < 0.5:
            if field.message_type:
                getattr(message, field.name).SetInParent()
                fill(rng, getattr(message, field.name))
            else:
                setattr(message, field.name, random_value(rng, field))
    return message


def compare(convert, message, what):
    """One message, both ways, under both names of its fields."""
    name = message.DESCRIPTOR.full_name
    packed = message.SerializeToString(deterministic=True)
    theirs = json_format.MessageToDict(message)
    ours = convert.ask(f"decode {name} {packed.hex()}")
    assert ours.startswith("ok "), (what, ours)
    assert json.loads(ours[3:]) == theirs, (what, ours, theirs)
    for text in [
        json.dumps(theirs),
        json.dumps(theirs, ensure_ascii=False),
        json_format.MessageToJson(message, preserving_proto_field_name=True, indent=0).replace("\n", " "),
    ]:
        ours = convert.ask(f"encode {name} {text}")
        assert ours == "ok " + packed.hex(), (what, text, ours)


def their_verdict(cls, text):
    """Google's packed bytes for a JSON text; None when it is refused or incomplete."""
    try:
        return json_format.Parse(text, cls()).SerializeToString(deterministic=True)
    except (json_format.ParseError, EncodeError):
        return None


# A bare number above 2^63 - 1 is left out: our JSON library does not read one, and text is the form to write it in.
# Texts about which both must agree; each replaces what its name says in a complete Erasure or Decision.
SAME = {
    "enlight.event.v1.Erasure": {
        "erasureId": ['"a"', "null", "5", "true", "[]", "{}", '["a"]', '"\\u00e9\\ud83c\\udf93"', '""'],
        "sequences": [
            "[]", "null", "[1]", '["1"]', "[1.0]", "[1.5]", "[-1]", "[9223372036854775807]",
            '["18446744073709551615"]', '["18446744073709551616"]', '["-1"]', '["1.5"]', '["x"]', '[""]', "[null]",
            "[true]", "1", '"1"', "{}", "[[1]]", '[" 1"]', '["0x1"]',
        ],
        "unknown": ["1", "{}"],
    },
    "enlight.event.v1.Decision": {
        "digest": ['"AAAA"', '"AA=="', '"AA"', '"-_-_"', '"+/+/"', "5", "null", '"A"', '""'],
        "comment": ["null", "[]", '[{"lang": "en", "value": "x"}]', '[{"lang": "en"}]', "[5]", "{}", "[null]"],
        "status": ["null", '{"code": "x"}', "{}", "[]", '"x"', '{"code": "x", "extra": 1}'],
        "revision": ["1", '"1"', "null", "1e3", "[1]", "1.5", "-1", "true"],
        "localId": ['"x"', "null", "1"],
    },
}


def compare_refusals(convert, find, examples):
    n = 0
    for name, fields in SAME.items():
        for field, texts in fields.items():
            for text in texts:
                parts = {k: json.dumps(v) for k, v in examples[name].items()}
                parts[field] = text
                whole = "{" + ", ".join(f'"{k}": {v}' for k, v in parts.items()) + "}"
                theirs = their_verdict(find(name), whole)
                ours = convert.ask(f"encode {name} {whole}")
                expected = "refused" if theirs is None else "ok " + theirs.hex()
                assert ours.startswith(expected), (name, field, text, ours, expected)
                n += 1
    return n


def main():
    convert, (folder, find) = Convert(sys.argv[1]), load_messages(sys.argv[2])
    seed = int(os.environ.get("JSON_FORMAT_SEED", "20261123"))
    rng = random.Random(seed)
    topics = convert.topics()
    examples = {}
    for topic, name, example in topics:
        compare(convert, json_format.Parse(example, find(name)()), topic)
        examples[name] = json.loads(example)
    for name in examples:
        for i in range(ROUNDS):
            compare(convert, fill(rng, find(name)()), f"{name}, message {i} of seed {seed}")
    refusals = compare_refusals(convert, find, examples)
    assert convert.close() == 0
    folder.cleanup()
    print(f"seed {seed}: {len(topics)} examples, {ROUNDS * len(examples)} random messages, {refusals} single texts agree")


main()
