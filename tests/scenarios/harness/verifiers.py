"""verifiers - two programs that judge a file of evidence and have nothing in common: `enlight verify` and proto/verify.py."""

import json
import subprocess
import sys

import harness
from harness import equal


def found(words, folder, expect):
    """What a verifier says in JSON, run where nothing but the files is."""
    said = subprocess.run(words, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    equal((said.returncode, said.stderr), (expect, ""), words)
    answer = json.loads(said.stdout)
    return answer["proved"], sorted((f["kind"], f["what"], f["about"]) for f in answer["findings"])


def judge(node, digest, folder, name, expect=0):
    """Both verifiers on one file, which agree. Returns what they find, as (kind, what, about)."""
    ours = found([node.build / "node/enlight", "verify", "--json", "--network", digest, name], folder, expect)
    other = found([sys.executable, harness.ROOT / "proto/verify.py", "--json", "--network", digest, name], folder, expect)
    equal(ours, other, f"two verifiers of {name}")
    return ours[1]
