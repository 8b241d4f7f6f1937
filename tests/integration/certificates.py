# SPDX-License-Identifier: Apache-2.0
"""Certificates that tests make for themselves. Keys are elliptic, which are made in a millisecond."""
import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)
CA_USAGE = x509.KeyUsage(**dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                                          "encipher_only", "decipher_only"), False), key_cert_sign=True, crl_sign=True)


def now():
    return datetime.datetime.utcnow().replace(microsecond=0)


def name_of(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


class Authority:
    """A CA that signs with its own key."""

    def __init__(self, place, name="ca"):
        self.place, self.name = place, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = name_of(name)
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = (self.builder(self.subject, self.key).add_extension(constraints, critical=True)
                            .add_extension(CA_USAGE, critical=True).sign(self.key, hashes.SHA256()))
        self.path = place / f"{name}.pem"
        self.path.write_bytes(pem(self.certificate))

    def builder(self, subject, key, begins=None, ends=None):
        """With the key identifiers without which Python 3.13 and later do not trust a certificate."""
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
                .not_valid_before(begins or now() - DAY).not_valid_after(ends or now() + DAY))

    def issue(self, name, names=(), begins=None, ends=None, file=None):
        """Makes NAME.pem and NAME.key; returns their paths and the certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self.builder(name_of(name), key, begins, ends)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        cert_path, key_path = self.place / f"{file or name}.pem", self.place / f"{file or name}.key"
        cert_path.write_bytes(pem(certificate))
        key_path.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return cert_path, key_path, certificate

    def issue_server(self, file="server", **keywords):
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return self.issue("server", names, file=file, **keywords)

    def revoke(self, *certificates, ends=None, file="revoked"):
        """Writes a list of revoked certificates; returns its path."""
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.subject).last_update(now() - DAY)
                   .next_update(ends or now() + DAY))
        for certificate in certificates:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now() - DAY).build())
        path = self.place / f"{file}.pem"
        path.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


def serve_tls(start, ca, pools=None, users="", **keys):
    """A daemon that listens on tls:127.0.0.1:0 with a certificate of `ca`. Its address is `daemon.tls`."""
    cert, key, _ = ca.issue_server()
    daemon = start(pools, {"listen": "tls:127.0.0.1:0", "tls_cert": cert, "tls_key": key, **keys}, users=users)
    daemon.tls = "tls:" + daemon.wait_log(r"listening on tls:(\S+)").group(1)
    return daemon
