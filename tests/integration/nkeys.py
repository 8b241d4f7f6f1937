# SPDX-License-Identifier: Apache-2.0
"""Keys and credentials of NATS accounts, as `nsc` makes them: nkeys (Ed25519, in base 32 with a prefix and a CRC), and JWTs of an
operator, of accounts, and of users."""
import base64
import binascii
import json
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

OPERATOR, ACCOUNT, USER, SEED = (n << 3 for n in (14, 0, 20, 18))    # the letters O, A, U, S
NO_LIMITS = {"subs": -1, "data": -1, "payload": -1}


def _text(data):
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


def _base64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    def __init__(self, kind):
        self.private = Ed25519PrivateKey.generate()
        self.kind = kind
        self.name = _text(bytes([kind]) + self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def seed(self):
        secret = self.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return _text(bytes([SEED | self.kind >> 5, self.kind << 3 & 0xff]) + secret)

    def signs(self, subject, name, claims):
        """A JWT, by which this key vouches for that of the subject."""
        body = {"jti": name, "iat": int(time.time()), "iss": self.name, "name": name, "sub": subject.name,
                "nats": {"version": 2, **claims}}
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, body))
        return f"{signed}.{_base64(self.private.sign(signed.encode()))}"


class Account:
    def __init__(self, operator, name):
        self.key = Key(ACCOUNT)
        self.name = name
        limits = {**NO_LIMITS, "imports": -1, "exports": -1, "conn": -1, "leaf": -1, "wildcards": True}
        self.jwt = operator.signs(self.key, name, {"type": "account", "limits": limits})

    def credentials(self, file, name, publish, subscribe):
        """Writes those of a user who may do so much."""
        user = Key(USER)
        jwt = self.key.signs(user, name, {"type": "user", "pub": {"allow": publish}, "sub": {"allow": subscribe}, **NO_LIMITS})
        file.write_text(f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
                        f"-----BEGIN USER NKEY SEED-----\n{user.seed()}\n------END USER NKEY SEED------\n")
        return file


def server_config(operator, *accounts):
    preload = "\n".join(f"  {account.key.name}: {account.jwt}" for account in accounts)
    jwt = operator.signs(operator, "operator", {"type": "operator"})
    return f"operator: {jwt}\nresolver: MEMORY\nresolver_preload {{\n{preload}\n}}\n"
