"""Whom a TLS connection trusts, and what it shows of itself."""

import os
import ssl
from typing import Final

from goldpool.contracts.report import FailureReason
from goldpool.worker.failures import OperationFailed
from goldpool.worker.fetch.credentials import ClientCertificate, invalid

_HOST_NAME: Final = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: the host name is wrong, whoever signed it."""
_TIME: Final = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""


def context(bundle: str, certificate: ClientCertificate | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the chain and the host's name always verified, by the system's CAs and those of ``bundle`` (PEM;
    empty for none). ``OperationFailed`` when the bundle or the certificate cannot be used.

    Not ``ssl.create_default_context``, which would write keys to wherever SSLKEYLOGFILE says.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.load_default_certs()
    if bundle:
        try:
            made.load_verify_locations(cadata=bundle)
        except ssl.SSLError as error:
            raise OperationFailed(
                FailureReason.CA_BUNDLE_INVALID, "the CA bundle holds no certificate in PEM that can be read"
            ) from error
    if certificate is not None:
        _show(made, certificate)
    return made


def _show(made: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """By a file without a name: OpenSSL only reads files, and the key must not lie on a disk."""
    fd = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(fd, certificate.chain + b"\n" + certificate.key)
        # Without the callback OpenSSL would ask a terminal for an encrypted key's password.
        made.load_cert_chain(f"/proc/self/fd/{fd}", password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise invalid(
            "tls.crt and tls.key are no certificate in PEM and its unencrypted key", "renew both together"
        ) from error
    finally:
        os.close(fd)


def distrust(error: ssl.SSLError) -> str:
    """Why there is no TLS, and what helps."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"no TLS connection: {(error.reason or 'the peer spoke no TLS').replace('_', ' ').lower()}"
    message = f"the server's certificate is not accepted: {error.verify_message}"
    if error.verify_code in _HOST_NAME | _TIME:
        return message
    return f"{message}; name its CA in spec.source.caBundleRef"
