//! TLS of a shared store: whom to trust, and what went wrong.

use std::net::ToSocketAddrs;

use reqwest::{Certificate, Identity};
use secrecy::ExposeSecret;
use url::Url;

use super::Error;
use super::settings::{TlsSettings, invalid};

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

pub(super) fn error_chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let wrapped = error.downcast_ref().and_then(std::io::Error::get_ref);
        wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source())
    })
}

/// Returns the problem with the server's certificate or with TLS, if there is one.
pub(super) fn tls_problem(error: &reqwest::Error) -> Option<String> {
    use rustls::CertificateError as Problem;
    let tls = error_chain(error).find_map(|error| error.downcast_ref::<rustls::Error>())?;
    let problem = match tls {
        rustls::Error::InvalidCertificate(problem) => match problem {
            Problem::Expired | Problem::ExpiredContext { .. } => {
                "its certificate has expired by the clock of this machine"
            }
            Problem::NotValidYet | Problem::NotValidYetContext { .. } => {
                "its certificate is not valid yet by the clock of this machine"
            }
            Problem::NotValidForName | Problem::NotValidForNameContext { .. } => {
                "its certificate is for another host name"
            }
            Problem::UnknownIssuer => "its certificate was issued by an unknown authority",
            Problem::Revoked => "its certificate was revoked",
            _ => "its certificate is invalid",
        },
        rustls::Error::AlertReceived(_) => {
            "it refused the TLS connection, perhaps because it requires a client certificate"
        }
        _ => "it does not speak TLS at this address",
    };
    Some(problem.into())
}
