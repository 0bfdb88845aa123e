"""A TLS 1.2 server written by hand: OpenSSL makes none without secure renegotiation (RFC 5746), as old firmware has.

It speaks TLS_RSA_WITH_AES_128_GCM_SHA256, answers one request, and checks nothing that its client claims.
"""

import hashlib
import hmac
import os
import socket
import ssl

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .servers import RawServer, Signer, certificate, key

HANDSHAKE, CHANGE, ALERT, DATA = 22, 20, 21, 23
HANDSHAKE_FAILURE = b"\x02\x28"
VERSION = b"\x03\x03"
CIPHER = b"\x00\x9c"


def sized(data: bytes, octets: int) -> bytes:
    return len(data).to_bytes(octets, "big") + data


def derived(secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """Return bytes of the pseudo-random function of TLS 1.2."""
    found, turn = b"", label + seed
    while len(found) < size:
        turn = hmac.digest(secret, turn, "sha256")
        found += hmac.digest(secret, turn + label + seed, "sha256")
    return found[:size]


class Direction:
    """One direction of the encrypted connection."""

    def __init__(self, secret: bytes, salt: bytes) -> None:
        self.cipher, self.salt, self.count = AESGCM(secret), salt, 0

    def bound(self, kind: int, size: int) -> bytes:
        self.count += 1
        return (self.count - 1).to_bytes(8, "big") + bytes([kind]) + VERSION + size.to_bytes(2, "big")

    def sealed(self, kind: int, data: bytes) -> bytes:
        nonce = os.urandom(8)
        return nonce + self.cipher.encrypt(self.salt + nonce, data, self.bound(kind, len(data)))

    def opened(self, kind: int, data: bytes) -> bytes:
        return self.cipher.decrypt(self.salt + data[:8], data[8:], self.bound(kind, len(data) - 24))


def ciphers_of(hello: bytes) -> set[bytes]:
    start = 35 + hello[34]  # after the session that the client wants to resume
    size = int.from_bytes(hello[start : start + 2], "big")
    return {hello[place : place + 2] for place in range(start + 2, start + 2 + size, 2)}


class Conversation:
    def __init__(self, link: socket.socket, private: RSAPrivateKey, der: bytes) -> None:
        self.link, self.private, self.der = link, private, der
        self.said = b""  # every message of the handshake so far

    def exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self.link.recv(size - len(found))
            if not part:
                raise OSError("the client went away")
            found += part
        return found

    def record(self) -> tuple[int, bytes]:
        head = self.exactly(5)
        return head[0], self.exactly(int.from_bytes(head[3:], "big"))

    def send(self, kind: int, data: bytes) -> None:
        self.link.sendall(bytes([kind]) + VERSION + sized(data, 2))

    def heard(self) -> bytes:
        """Return the next message of the client's handshake, without its header."""
        kind, message = self.record()
        if kind != HANDSHAKE:
            raise OSError("the client ended the handshake")
        self.said += message
        return message[4:]

    def message(self, kind: int, data: bytes) -> bytes:
        found = bytes([kind]) + sized(data, 3)
        self.said += found
        return found

    def shake_hands(self) -> None:
        hello, ours = self.heard(), os.urandom(32)
        theirs = hello[2:34]
        if CIPHER not in ciphers_of(hello):
            self.send(ALERT, HANDSHAKE_FAILURE)
            raise OSError("no shared cipher")
        self.send(HANDSHAKE, self.message(2, VERSION + ours + b"\x00" + CIPHER + b"\x00"))  # and no extension at all
        self.send(HANDSHAKE, self.message(11, sized(sized(self.der, 3), 3)))
        self.send(HANDSHAKE, self.message(14, b""))
        master = derived(self.private.decrypt(self.heard()[2:], PKCS1v15()), b"master secret", theirs + ours, 48)
        keys = derived(master, b"key expansion", ours + theirs, 40)
        self.incoming, self.outgoing = Direction(keys[:16], keys[32:36]), Direction(keys[16:32], keys[36:])
        self.record()  # the client changes to the cipher
        self.said += self.incoming.opened(*self.record())
        self.send(CHANGE, b"\x01")
        proof = derived(master, b"server finished", hashlib.sha256(self.said).digest(), 12)
        self.send(HANDSHAKE, self.outgoing.sealed(HANDSHAKE, self.message(20, proof)))


class WithoutRenegotiation(RawServer):
    """A RawServer over TLS 1.2 without secure renegotiation. Its certificate is signed by this authority."""

    def __init__(self, answer: bytes, signer: Signer) -> None:
        super().__init__(answer)
        private = key("rsa")
        assert isinstance(private, RSAPrivateKey)
        self.private, self.der = private, ssl.PEM_cert_to_DER_cert(certificate("pbx", private, signer))

    def talk(self, link: socket.socket) -> None:
        talk = Conversation(link, self.private, self.der)
        talk.shake_hands()
        kind, data = talk.record()
        self.requests.append(talk.incoming.opened(kind, data))
        talk.send(DATA, talk.outgoing.sealed(DATA, self.answers[0]))
