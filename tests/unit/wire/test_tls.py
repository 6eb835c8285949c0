"""A certificate speaks for a node only with a signature of the node's key over this very TLS key, on this network, in time."""

from __future__ import annotations

import contextlib
import re
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from chain.canonical import encode
from chain.keys import NodeKey
from chain.typed import Domain, Signed, sign
from chain.types import Address, Digest
from wire.messages import NodeCertificate
from wire.tls import BINDING_OID, BindingError, BindingExpired, client_context, make_identity, peer_address, server_context

DOMAIN = Domain(31337, Address("0x" + "11" * 20))
KEY = NodeKey(b"\x01" * 32)
UNTIL = 2_000_000_000
IDENTITY = make_identity(KEY, DOMAIN, UNTIL)


def certificate_with(value: bytes | None, tls_key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """A self-signed certificate with this binding."""
    tls_key = tls_key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(tls_key.public_key()).serial_number(1)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2030, 1, 1, tzinfo=UTC))
    if value is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(BINDING_OID, value), critical=False)
    return builder.sign(tls_key, hashes.SHA256()).public_bytes(Encoding.DER)


def code_of(der: bytes | None, now: float = 1_700_000_000, domain: Domain = DOMAIN) -> str:
    with pytest.raises(BindingError) as caught:
        peer_address(der, domain, now)
    return caught.value.code


def test_a_made_identity_proves_its_node() -> None:
    assert peer_address(IDENTITY.certificate_der, DOMAIN, 1_700_000_000) == KEY.address


def test_each_identity_has_its_own_tls_key() -> None:
    again = make_identity(KEY, DOMAIN, UNTIL)
    assert again.key.public_key() != IDENTITY.key.public_key()


def test_the_binding_ends_at_its_second() -> None:
    assert peer_address(IDENTITY.certificate_der, DOMAIN, UNTIL - 0.5) == KEY.address
    with pytest.raises(BindingExpired) as caught:
        peer_address(IDENTITY.certificate_der, DOMAIN, UNTIL)
    assert caught.value.code == "binding_expired"


def test_a_binding_taken_from_another_certificate_is_refused() -> None:
    taken = x509.load_der_x509_certificate(IDENTITY.certificate_der).extensions.get_extension_for_oid(BINDING_OID).value
    assert isinstance(taken, x509.UnrecognizedExtension)
    assert code_of(certificate_with(taken.value)) == "wrong_tls_key"


def test_a_binding_of_another_network_is_refused() -> None:
    assert code_of(IDENTITY.certificate_der, domain=Domain(1, DOMAIN.settlement)) == "wrong_signer"


def test_a_binding_signed_by_somebody_else_is_refused() -> None:
    claimed = NodeCertificate(KEY.address, Digest(bytes(32)), UNTIL)
    assert code_of(certificate_with(encode(sign(claimed, DOMAIN, NodeKey(b"\x02" * 32))))) == "wrong_signer"


def test_a_malformed_signature_is_refused() -> None:
    good = sign(NodeCertificate(KEY.address, Digest(bytes(32)), UNTIL), DOMAIN, KEY)
    bad = Signed(good.message, type(good.signature)(good.signature[:64] + b"\x00"))
    assert code_of(certificate_with(encode(bad))) == "bad_signature"


def test_what_is_missing_or_malformed_has_its_own_code() -> None:
    assert code_of(None) == "no_certificate"
    assert code_of(b"") == "no_certificate"
    assert code_of(b"\x30\x03abc") == "malformed_certificate"
    assert code_of(bytes(9000)) == "malformed_certificate"
    assert code_of(certificate_with(None)) == "no_binding"
    assert code_of(certificate_with(b"{}")) == "malformed_binding"


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_certificate_is_refused_or_still_names_the_node(changes: list[tuple[int, int]]) -> None:
    der = bytearray(IDENTITY.certificate_der)
    for at, value in changes:
        der[at % len(der)] = value
    try:
        assert peer_address(bytes(der), DOMAIN, 1_700_000_000) == KEY.address
    except BindingError as error:
        assert re.fullmatch("[a-z_]+", error.code)


@given(st.binary(max_size=400))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(BindingError):
        peer_address(data, DOMAIN, 1_700_000_000)


def test_contexts_speak_tls_1_3_only() -> None:
    for context in (server_context(IDENTITY), client_context(), client_context(IDENTITY)):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_no_private_key_is_left_on_the_disk_or_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server_context(IDENTITY)
    assert list(tmp_path.iterdir()) == []
    assert "PRIVATE" not in repr(IDENTITY)
    assert "PrivateKey" not in repr(IDENTITY)


def shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends after a handshake in memory; raises what it ends in."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up)
    for _ in range(4):
        for end in reversed(ends):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends


def test_both_ends_see_each_other_s_node() -> None:
    other = make_identity(NodeKey(b"\x02" * 32), DOMAIN, UNTIL)
    server, client = shaken(server_context(IDENTITY), client_context(other))
    assert peer_address(server.getpeercert(binary_form=True), DOMAIN, 1_700_000_000) == other.node
    assert peer_address(client.getpeercert(binary_form=True), DOMAIN, 1_700_000_000) == IDENTITY.node


def test_a_client_may_show_nothing() -> None:
    server, client = shaken(server_context(IDENTITY), client_context())
    assert server.getpeercert(binary_form=True) is None
    assert peer_address(client.getpeercert(binary_form=True), DOMAIN, 1_700_000_000) == IDENTITY.node


def test_a_client_s_certificate_of_another_maker_ends_the_handshake(tmp_path: Path) -> None:
    tls_key = ec.generate_private_key(ec.SECP256R1())
    pem = ssl.DER_cert_to_PEM_cert(certificate_with(None, tls_key)).encode()
    file = tmp_path / "own.pem"
    file.write_bytes(pem + tls_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = client_context()
    context.load_cert_chain(file)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken(server_context(IDENTITY), context)


def test_an_old_certificate_is_for_the_binding_to_judge() -> None:
    """The library hands it over whatever its own clock says: the caller's decides."""
    old = make_identity(KEY, DOMAIN, 1_600_000_000)
    server, _ = shaken(server_context(IDENTITY), client_context(old))
    assert code_of(server.getpeercert(binary_form=True)) == "binding_expired"


def test_the_authority_vouches_for_nothing() -> None:
    """Anyone can have any name in a certificate of its; only the binding names a node."""
    forged = make_identity(NodeKey(b"\x03" * 32), Domain(1, DOMAIN.settlement), UNTIL)
    server, _ = shaken(server_context(IDENTITY), client_context(forged))
    assert code_of(server.getpeercert(binary_form=True)) == "wrong_signer"
