//! TLS of a shared store: whom to trust, and what went wrong.

use std::net::ToSocketAddrs;

use reqwest::{Certificate, Identity};
use secrecy::ExposeSecret;
use url::Url;

use super::Error;
use super::settings::{TlsSettings, invalid};
use crate::domain::error_chain;

/// Sets the authorities, the client's certificate and the name that the server's certificate must
/// have; for another name than the address has, the URL gets that name.
pub(super) fn add_tls(
    mut builder: reqwest::ClientBuilder,
    tls: &TlsSettings,
    url: &mut Url,
) -> Result<reqwest::ClientBuilder, Error> {
    if let Some(authorities) = &tls.authorities {
        let certificates: Vec<_> = authorities
            .iter()
            .filter_map(|pem| Certificate::from_pem_bundle(pem).ok())
            .flatten()
            .collect();
        if certificates.is_empty() {
            return Err(invalid(
                "BAO_CACERT",
                "contains no certificate in PEM form",
                "set it to the certificate of the authority that issued the server's",
            ));
        }
        builder = builder.tls_certs_only(certificates);
    }
    if let Some(identity) = &tls.identity {
        #[expect(clippy::disallowed_methods, reason = "the TLS library takes the private key")]
        let identity = Identity::from_pem(identity.expose_secret().as_bytes()).map_err(|_| {
            invalid(
                "BAO_CLIENT_CERT",
                "and BAO_CLIENT_KEY are not a certificate and its key in PEM form",
                "set them to the files of the client's certificate and private key",
            )
        })?;
        builder = builder.identity(identity);
    }
    if tls.skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(name) = &tls.server_name {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(8200);
        let addresses: Vec<_> = (host.trim_matches(['[', ']']), port)
            .to_socket_addrs()
            .map(Iterator::collect)
            .unwrap_or_default();
        url.set_host(Some(name)).map_err(|_| {
            invalid("BAO_TLS_SERVER_NAME", "is not a host name", "correct it, or unset it")
        })?;
        builder = builder.resolve_to_addrs(name, &addresses);
    }
    Ok(builder)
}

/// Why a TLS connection was not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsProblem {
    /// The certificate has expired.
    #[error("its certificate has expired by the clock of this machine")]
    Expired,
    /// The certificate's time has not come.
    #[error("its certificate is not valid yet by the clock of this machine")]
    NotValidYet,
    /// The certificate does not have the host of the address.
    #[error("its certificate is for another host name")]
    OtherName,
    /// The certificate's authority is not trusted.
    #[error("its certificate was issued by an unknown authority")]
    UnknownIssuer,
    /// The authority revoked the certificate.
    #[error("its certificate was revoked")]
    Revoked,
    /// The server presents an authority's own certificate.
    #[error("its certificate is that of an authority, not of a server")]
    AuthorityCertificate,
    /// The certificate has another fault.
    #[error("its certificate is invalid")]
    Invalid,
    /// The server wants a client certificate.
    #[error("it requires a client certificate")]
    NoClientCertificate,
    /// The server refuses the client's certificate.
    #[error("it refuses the client certificate")]
    ClientCertificateRefused,
    /// The server ended the handshake for another reason.
    #[error("it refused the TLS connection")]
    Refused,
    /// What answers does not speak TLS.
    #[error("it does not speak TLS at this address")]
    NoTls,
}

impl TlsProblem {
    /// Returns what to do now.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Expired => {
                "check the clock of this machine with `date -u`; if it is right, ask the operator to renew the certificate"
            }
            Self::NotValidYet => {
                "set the clock of this machine, which `date -u` shows; if it is right, ask the operator for a valid certificate"
            }
            Self::OtherName => {
                "set BAO_ADDR to the host name in the certificate, or BAO_TLS_SERVER_NAME to that name"
            }
            Self::UnknownIssuer => {
                "set BAO_CACERT (or VAULT_CACERT) to a file with the certificate of the authority that issued it"
            }
            Self::AuthorityCertificate => {
                "ask the operator for a certificate that is not marked as an authority's (CA:FALSE), and set BAO_CACERT to the authority's"
            }
            Self::Revoked | Self::Invalid => "ask the operator to replace the certificate",
            Self::NoClientCertificate | Self::ClientCertificateRefused => {
                "set BAO_CLIENT_CERT and BAO_CLIENT_KEY to the files of a certificate that the engine accepts and its key"
            }
            Self::Refused => {
                "ask the operator which TLS versions and certificates the engine accepts"
            }
            Self::NoTls => {
                "set BAO_ADDR (or VAULT_ADDR) to the address and port where the engine speaks TLS"
            }
        }
    }
}

/// Returns the problem with the server's certificate or with TLS, if there is one.
pub(super) fn tls_problem(error: &reqwest::Error) -> Option<TlsProblem> {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate};
    let tls = error_chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    Some(match tls {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Certificate::Expired | Certificate::ExpiredContext { .. } => TlsProblem::Expired,
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                TlsProblem::NotValidYet
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                TlsProblem::OtherName
            }
            Certificate::UnknownIssuer => TlsProblem::UnknownIssuer,
            Certificate::Revoked => TlsProblem::Revoked,
            // The only name of this problem that rustls gives is its text.
            Certificate::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                TlsProblem::AuthorityCertificate
            }
            _ => TlsProblem::Invalid,
        },
        rustls::Error::AlertReceived(alert) => match alert {
            Alert::CertificateRequired => TlsProblem::NoClientCertificate,
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError => TlsProblem::ClientCertificateRefused,
            _ => TlsProblem::Refused,
        },
        _ => TlsProblem::NoTls,
    })
}
