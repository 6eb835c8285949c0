"""TLS between nodes: a throw-away TLS key in a certificate, bound to the node's key by a signature inside it.

    TlsError
    └── BindingError       the peer proves no node key; `code` says why
        └── BindingExpired the binding was good once: the peer has to renew its certificate

No authority is asked and no host name is compared: the contexts here accept any certificate, so *whoever uses them must call
`peer_address`* with the peer's certificate and compare the account. TLS 1.3 itself proves that the peer holds the certificate's key.

A server of the standard library hands out a client's certificate only if an authority it trusts has issued it. So every certificate is
issued by the *introduction authority*, whose private key anyone can derive from a constant: it vouches for nothing, and that is its use.
A client may show no certificate at all, as a master that dials back does.
"""

from __future__ import annotations

import hashlib
import secrets
import ssl
import tempfile
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from chain.canonical import decode, encode
from chain.errors import CodecError
from chain.typed import Domain, Signed, sign, verify
from chain.types import Address, Digest
from wire.messages import NodeCertificate

if TYPE_CHECKING:
    from chain.keys import NodeKey

BINDING_OID = x509.ObjectIdentifier("2.25.45389849541477719915706902216144941699")
"""The certificate extension (not critical) whose value is the canonical JSON of `Signed[NodeCertificate]`."""

AUTHORITY_PHRASE = b"DPN introduction authority: it vouches for nothing"
"""What the authority's P-256 key is derived from: sha-256 of this, modulo the curve's order less 1, plus 1."""

MAX_CERTIFICATE = 8192
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: whether a binding still holds is `peer_address`'s to judge, by the caller's clock."""
_UNREADABLE = (
    ValueError,
    TypeError,
    CryptographyDeprecationWarning,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
_NOT_AFTER = datetime(2120, 1, 1, tzinfo=UTC)
_AUTHORITY_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "DPN introduction authority")])


class TlsError(Exception):
    """Base of what this module raises on purpose."""


class BindingError(TlsError):
    """The certificate proves no node key. Codes: `no_certificate`, `malformed_certificate`, `no_binding`, `malformed_binding`,
    `bad_signature`, `wrong_signer`, `wrong_tls_key`, `binding_expired`."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


class BindingExpired(BindingError):
    """Its time is over. Code: `binding_expired`."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's certificate and the TLS key it proves. certificate_pem: PEM. not_after: UTC second."""

    node: Address
    certificate_pem: bytes = field(repr=False)
    not_after: int
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate_der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.certificate_pem.decode())


def make_identity(key: NodeKey, domain: Domain, not_after: int) -> Identity:
    """A fresh P-256 TLS key, bound to the node key of `key` on this network until the UTC second `not_after`."""
    tls_key = ec.generate_private_key(ec.SECP256R1())
    certificate = NodeCertificate(key.address, _key_digest(tls_key.public_key()), not_after)
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, key.address)]))
        .issuer_name(_AUTHORITY_NAME)
        .public_key(tls_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(datetime.fromtimestamp(not_after, UTC))
        .add_extension(x509.UnrecognizedExtension(BINDING_OID, encode(sign(certificate, domain, key))), critical=False)
        .sign(_authority_key(), hashes.SHA256())
    )
    return Identity(key.address, built.public_bytes(Encoding.PEM), not_after, tls_key)


def server_context(identity: Identity) -> ssl.SSLContext:
    """For listening: TLS 1.3 only. A client may show its certificate; judge it with `peer_address`. One that the introduction authority
    has not issued ends the handshake. No session is resumed, since a resumed one shows no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= _NO_CHECK_TIME
    context.load_verify_locations(cadata=_authority_certificate())
    _load(context, identity)
    return context


def client_context(identity: Identity | None = None) -> ssl.SSLContext:
    """For dialling: TLS 1.3 only, any certificate passes; judge it with `peer_address`. `identity` is shown if the server asks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if identity is not None:
        _load(context, identity)
    return context


def peer_address(certificate_der: bytes | None, domain: Domain, now: float) -> Address:
    """The node that a peer's certificate is bound to at UTC second `now`; `BindingError` otherwise.

    `certificate_der` is what `ssl_object.getpeercert(binary_form=True)` returns, None included.
    """
    if not certificate_der:
        raise BindingError("no_certificate", "the peer showed no certificate")
    public_key_digest, value = _open(certificate_der)
    try:
        signed: Signed[NodeCertificate] = decode(Signed[NodeCertificate], value)
    except CodecError as error:
        raise BindingError("malformed_binding", str(error)) from error
    try:
        certificate = verify(signed, domain)
    except CodecError as error:
        raise BindingError(error.code, error.detail) from error
    if certificate.public_key_digest != public_key_digest:
        raise BindingError("wrong_tls_key", f"{certificate.node} has signed another TLS key than the certificate's")
    if now >= certificate.not_after:
        raise BindingExpired("binding_expired", f"bound until {certificate.not_after}, now it is {int(now)}")
    return certificate.node


def _open(certificate_der: bytes) -> tuple[Digest, bytes]:
    """The digest of a certificate's public key, and the value of its binding extension."""
    if len(certificate_der) > MAX_CERTIFICATE:
        raise BindingError("malformed_certificate", f"it is longer than {MAX_CERTIFICATE} bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)  # such as a negative serial number: not one of ours
            certificate = x509.load_der_x509_certificate(certificate_der)
            public_key_digest = _key_digest(certificate.public_key())
            extension = certificate.extensions.get_extension_for_oid(BINDING_OID).value
    except x509.ExtensionNotFound as error:
        raise BindingError("no_binding", "the certificate names no node") from error
    except _UNREADABLE as error:
        raise BindingError("malformed_certificate", f"it is not a certificate this node can read ({type(error).__name__})") from error
    if not isinstance(extension, x509.UnrecognizedExtension):
        raise BindingError("malformed_binding", "the extension has another form")
    return public_key_digest, extension.value


def _authority_key() -> ec.EllipticCurvePrivateKey:
    scalar = int.from_bytes(hashlib.sha256(AUTHORITY_PHRASE).digest()) % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(scalar, ec.SECP256R1())


@cache
def _authority_certificate() -> bytes:
    """The authority's own certificate, DER; each process may make its own, since only name and key matter."""
    key = _authority_key()
    built = (
        x509.CertificateBuilder()
        .subject_name(_AUTHORITY_NAME)
        .issuer_name(_AUTHORITY_NAME)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(Encoding.DER)


def _key_digest(key: CertificatePublicKeyTypes) -> Digest:
    return Digest(hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest())


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    """The ssl module reads keys from files only: the file is private, gone at once, and encrypted with a pass phrase never written."""
    phrase = secrets.token_urlsafe(24)
    pem = identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(phrase.encode()))
    with tempfile.NamedTemporaryFile(prefix="tls-") as file:
        file.write(identity.certificate_pem + pem)
        file.flush()
        context.load_cert_chain(file.name, password=phrase)
