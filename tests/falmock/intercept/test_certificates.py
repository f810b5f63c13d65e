from __future__ import annotations

import socket
import ssl
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from falmock.intercept import authority
from falmock.intercept import certificates as module
from falmock.intercept.authority import DamagedCAError
from falmock.intercept.certificates import open_ca

if TYPE_CHECKING:
    from pathlib import Path

    from falmock.intercept.authority import CertificateAuthority


def greet(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Run a TLS handshake; raises the error of the client."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True):
                pass
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name):
            pass
    finally:
        ours.close()
        thread.join()


def unchecked() -> ssl.SSLContext:
    """Return the settings of a client that accepts any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return open_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusting(ca: CertificateAuthority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca.certificate))


@pytest.mark.parametrize(
    "name",
    [
        "queue.fal.run",
        "fal.run",
        "rest.fal.ai",
        "rest.alpha.fal.ai",
        "v3b.fal.media",
        "fal.ai",
        "gateway.fal.ai",
        "queue.falrun.com",
        "localhost",
        "127.0.0.1",
        "::1",
    ],
)
def test_a_client_that_trusts_the_ca_accepts_the_server_under_every_fal_name(
    ca: CertificateAuthority, trusting: ssl.SSLContext, name: str
) -> None:
    greet(ca.context(), trusting, name)


@pytest.mark.parametrize("name", ["example.com", "fal.run.example.com", "127.0.0.2"])
def test_a_client_that_trusts_the_ca_rejects_the_server_under_other_names(
    ca: CertificateAuthority, trusting: ssl.SSLContext, name: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(ca.context(), trusting, name)


def test_a_stolen_ca_key_is_useless_for_other_names(
    ca: CertificateAuthority, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    own = x509.load_pem_x509_certificate(ca.certificate.read_bytes())
    stolen = load_pem_private_key(ca.server.with_name("ca.key").read_bytes(), None)
    assert isinstance(stolen, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    forged = (
        module._builder(module._name("bank"), own.subject, key, module.CERTIFICATE_LIFETIME, ca=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=False)
        .sign(stolen, hashes.SHA256())
    )
    path = tmp_path / "forged.pem"
    path.write_bytes(module._private_pem(key) + module._pem(forged))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)

    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        greet(server, trusting, "bank.example")


def shown(ca: CertificateAuthority, name: str) -> x509.SubjectAlternativeName:
    """Return the names of the certificate that a client gets which asks for a name."""
    ours, theirs = socket.socketpair()
    server = ca.context()
    client = ssl.create_default_context(cafile=str(ca.certificate))

    def answer() -> None:
        with server.wrap_socket(theirs, server_side=True):
            pass

    thread = threading.Thread(target=answer)
    thread.start()
    with client.wrap_socket(ours, server_hostname=name) as connection:
        certificate = connection.getpeercert(binary_form=True)
    thread.join()
    assert certificate is not None
    extensions = x509.load_der_x509_certificate(certificate).extensions
    return extensions.get_extension_for_class(x509.SubjectAlternativeName).value


@pytest.mark.parametrize(
    ("name", "addresses"),
    [("queue.fal.run", []), ("localhost", []), ("127.0.0.1", ["127.0.0.1", "::1"])],
)
def test_only_a_client_that_calls_an_address_gets_a_certificate_with_addresses(
    ca: CertificateAuthority, name: str, addresses: list[str]
) -> None:
    assert [str(each) for each in shown(ca, name).get_values_for_type(x509.IPAddress)] == addresses


def test_the_ca_is_made_once(tmp_path: Path) -> None:
    first = open_ca(tmp_path).certificate.read_bytes()

    assert open_ca(tmp_path).certificate.read_bytes() == first


def test_the_certificates_of_the_server_are_used_again(tmp_path: Path) -> None:
    first = open_ca(tmp_path)
    before = first.server.read_bytes(), first.named.read_bytes()

    open_ca(tmp_path)

    assert (first.server.read_bytes(), first.named.read_bytes()) == before


@pytest.mark.parametrize("name", ["ca.key", "certificate/ca.pem", "server.pem", "named.pem"])
def test_the_certificates_of_the_server_are_made_anew_if_a_file_is_missing(tmp_path: Path, name: str) -> None:
    before = open_ca(tmp_path).server.read_bytes()
    (tmp_path / name).unlink()

    again = open_ca(tmp_path)

    assert again.server.read_bytes() != before
    greet(again.context(), ssl.create_default_context(cafile=str(again.certificate)), "queue.fal.run")


def test_the_certificates_of_the_server_are_made_anew_for_other_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_ca(tmp_path).server.read_bytes()
    monkeypatch.setattr("falmock.intercept.authority.NAMES", ("localhost",))

    assert open_ca(tmp_path).server.read_bytes() != before


@pytest.mark.parametrize("lifetime", ["CA_LIFETIME", "CERTIFICATE_LIFETIME"])
def test_the_certificates_of_the_server_are_made_anew_before_they_expire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifetime: str
) -> None:
    monkeypatch.setattr(module, lifetime, timedelta(hours=1))
    before = open_ca(tmp_path).server.read_bytes()

    assert open_ca(tmp_path).server.read_bytes() != before


@pytest.mark.parametrize("name", ["server.pem", "named.pem"])
def test_damaged_certificates_of_the_server_are_made_anew(tmp_path: Path, name: str) -> None:
    heading, _, _ = open_ca(tmp_path).server.read_bytes().partition(b"-")
    (tmp_path / name).write_bytes(heading + b"-----BEGIN NONSENSE-----")

    greet(open_ca(tmp_path).context(), unchecked(), "queue.fal.run")


def test_another_process_makes_the_same_files(tmp_path: Path) -> None:
    ca = authority.open_ca(tmp_path, {}, authority.make_apart)

    greet(ca.context(), ssl.create_default_context(cafile=str(ca.certificate)), "queue.fal.run")


def test_another_process_reports_a_damaged_ca(tmp_path: Path) -> None:
    open_ca(tmp_path).key.write_text("nonsense")

    with pytest.raises(DamagedCAError, match="are damaged"):
        authority.open_ca(tmp_path, {}, authority.make_apart)


def test_another_process_reports_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "server.part").mkdir()

    with pytest.raises(IsADirectoryError):
        authority.open_ca(tmp_path, {}, authority.make_apart)


def test_a_client_trusts_the_ca_after_a_restart(tmp_path: Path) -> None:
    before = ssl.create_default_context(cafile=str(open_ca(tmp_path).certificate))

    greet(open_ca(tmp_path).context(), before, "queue.fal.run")


@pytest.mark.parametrize("name", ["ca.key", "server.pem", "named.pem"])
def test_private_keys_are_readable_by_their_owner_only(ca: CertificateAuthority, name: str) -> None:
    assert ca.server.with_name(name).stat().st_mode & 0o777 == 0o600


def test_the_bundle_has_the_usual_roots_and_the_ca(ca: CertificateAuthority) -> None:
    context = ssl.create_default_context(cafile=str(ca.bundle))

    assert context.cert_store_stats()["x509_ca"] > 100
    greet(ca.context(), context, "queue.fal.run")


def test_the_bundle_has_the_roots_named_in_the_environment(tmp_path: Path) -> None:
    company = open_ca(tmp_path / "company")
    bundle = open_ca(tmp_path / "ca", {"SSL_CERT_FILE": str(company.certificate)}).bundle

    assert company.certificate.read_bytes() in bundle.read_bytes()
