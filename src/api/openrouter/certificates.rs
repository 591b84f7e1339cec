//! Checks the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. The TLS library skips files
//! that it cannot read and then trusts no server; the errors here name the variable and the problem.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

use super::Error;
use crate::domain::sanitize;

const FILE_VARIABLE: &str = "SSL_CERT_FILE";
const DIR_VARIABLE: &str = "SSL_CERT_DIR";

/// The certificates that are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustedCertificates {
    /// Those of the operating system.
    System,
    /// Those that the variables name, and no others.
    Variables {
        /// The variables with their values, such as `SSL_CERT_FILE=/etc/ca.pem`.
        sources: Vec<String>,
        /// How many certificates there are.
        count: usize,
        /// What could not be read, although other certificates could.
        problems: Vec<String>,
    },
}

/// A source without a usable certificate.
struct Fault {
    variable: &'static str,
    problem: String,
    advice: String,
}

impl TrustedCertificates {
    /// Returns the certificates that the variables of this process name. Fails if they name none
    /// that can be used. Reads the files only if a variable is set.
    pub fn from_env() -> Result<Self, Error> {
        // On macOS and Windows the system verifies certificates and ignores the variables.
        if cfg!(any(target_os = "macos", windows)) {
            return Ok(Self::System);
        }
        Self::new(|name| std::env::var_os(name))
    }

    fn new(read_var: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let file = read_var(FILE_VARIABLE).map(PathBuf::from);
        let dirs: Vec<_> = read_var(DIR_VARIABLE)
            .map(|dirs| std::env::split_paths(&dirs).collect::<Vec<_>>())
            .unwrap_or_default()
            .into_iter()
            .filter(|dir| !dir.as_os_str().is_empty())
            .collect();
        if file.is_none() && dirs.is_empty() {
            return Ok(Self::System);
        }
        let (mut count, mut faults, mut sources) = (0, Vec::new(), Vec::new());
        if let Some(file) = file {
            sources.push(describe(FILE_VARIABLE, &file));
            match count_certificates(&file) {
                Ok(found) => count += found,
                Err((problem, advice)) => {
                    faults.push(Fault { variable: FILE_VARIABLE, problem, advice });
                }
            }
        }
        for dir in dirs {
            sources.push(describe(DIR_VARIABLE, &dir));
            match count_directory_certificates(&dir) {
                Ok(found) => count += found,
                Err((problem, advice)) => {
                    faults.push(Fault { variable: DIR_VARIABLE, problem, advice });
                }
            }
        }
        if count == 0 && !faults.is_empty() {
            let Fault { variable, problem, advice } = faults.swap_remove(0);
            return Err(Error::InvalidSetting { variable, problem, advice });
        }
        let problems = faults.iter().map(|fault| format!("{} {}", fault.variable, fault.problem));
        Ok(Self::Variables { sources, count, problems: problems.collect() })
    }
}

fn describe(variable: &str, path: &Path) -> String {
    format!("{variable}={}", show(path))
}

fn show(path: &Path) -> String {
    sanitize(&path.to_string_lossy(), 200)
}

/// Returns the number of usable certificates in a file, or what is wrong with it and what to do.
fn count_certificates(path: &Path) -> Result<usize, (String, String)> {
    let shown = show(path);
    let unset =
        || format!("set {FILE_VARIABLE} to a file with certificates in PEM form, or unset it");
    if path.as_os_str().is_empty() {
        return Err(("is set to nothing".into(), format!("unset {FILE_VARIABLE}")));
    }
    let fault = |problem: String| (format!("names {shown}, which {problem}"), unset());
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => fault("does not exist".into()),
        kind => fault(format!("cannot be read: {kind}")),
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        let (problem, _) = fault("is a directory".into());
        return Err((
            problem,
            format!("set {DIR_VARIABLE} to the directory, and unset {FILE_VARIABLE}"),
        ));
    }
    if !metadata.is_file() {
        return Err(fault("is not a file".into()));
    }
    let bytes = fs::read(path).map_err(unreadable)?;
    match parse_certificates(&bytes) {
        (0, _) if bytes.is_empty() => Err(fault("is empty".into())),
        // Every certificate in DER form is an ASN.1 sequence, which begins with this byte.
        (0, _) if bytes.starts_with(&[0x30]) => Err((
            format!("names {shown}, which contains a certificate in DER form instead of PEM"),
            format!(
                "convert it with openssl x509 -inform der -in CERTIFICATE -out CERTIFICATE.pem, and set {FILE_VARIABLE} to the new file"
            ),
        )),
        (0, true) => Err(fault("contains only damaged certificates".into())),
        (0, false) => Err(fault("contains no certificate in PEM form".into())),
        (count, _) => Ok(count),
    }
}

/// Returns the number of usable certificates in the files of a directory.
fn count_directory_certificates(dir: &Path) -> Result<usize, (String, String)> {
    let advice = format!("set {DIR_VARIABLE} to a directory with certificates, or unset it");
    let fault = |problem: &str| (format!("names {}, which {problem}", show(dir)), advice.clone());
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(fault("does not exist"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(fault("is not a directory"));
        }
        Err(error) => return Err(fault(&format!("cannot be read: {}", error.kind()))),
    };
    let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
    let count = files
        .filter_map(|path| fs::read(path).ok())
        .map(|bytes| parse_certificates(&bytes).0)
        .sum();
    if count == 0 {
        Err(fault("contains no file with a certificate in PEM form"))
    } else {
        Ok(count)
    }
}

/// Returns the number of usable certificates, and whether there are damaged ones.
fn parse_certificates(bytes: &[u8]) -> (usize, bool) {
    let (mut store, mut is_damaged) = (RootCertStore::empty(), false);
    for certificate in CertificateDer::pem_slice_iter(bytes) {
        let certificate: Result<CertificateDer<'_>, pem::Error> = certificate;
        let is_usable =
            certificate.is_ok_and(|certificate| store.add(certificate.into_owned()).is_ok());
        is_damaged |= !is_usable;
    }
    (store.len(), is_damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls/trusted.pem");
        fs::read_to_string(path).unwrap()
    }

    fn read(variables: &[(&str, &Path)]) -> Result<TrustedCertificates, Error> {
        TrustedCertificates::new(|name| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, path)| path.into())
        })
    }

    #[test]
    fn each_fault_of_a_certificate_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let pem = trusted();
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, base64).unwrap();
        let damaged = pem.replacen('M', "?", 1);
        let not_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (content, expected) in [
            (&b""[..], "which is empty"),
            (&der, "which contains a certificate in DER form instead of PEM"),
            (b"hello", "which contains no certificate in PEM form"),
            (damaged.as_bytes(), "which contains only damaged certificates"),
            (not_x509.as_bytes(), "which contains only damaged certificates"),
            (
                b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "which contains no certificate in PEM form",
            ),
        ] {
            let path = dir.path().join("ca.pem");
            fs::write(&path, content).unwrap();
            let error = read(&[(FILE_VARIABLE, &path)]).unwrap_err().to_string();
            assert_eq!(error, format!("SSL_CERT_FILE names {}, {expected}", path.display()));
        }
        for (path, expected) in [
            (dir.path().join("none"), "which does not exist"),
            (dir.path().to_owned(), "which is a directory"),
        ] {
            let error = read(&[(FILE_VARIABLE, &path)]).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        let error = read(&[(FILE_VARIABLE, Path::new(""))]).unwrap_err().to_string();
        assert_eq!(error, "SSL_CERT_FILE is set to nothing");
        for (path, expected) in [
            (dir.path().join("none"), "which does not exist"),
            (dir.path().join("ca.pem"), "which is not a directory"),
            (dir.path().to_owned(), "which contains no file with a certificate in PEM form"),
        ] {
            let error = read(&[(DIR_VARIABLE, &path)]).unwrap_err().to_string();
            assert!(
                error.starts_with("SSL_CERT_DIR names ") && error.ends_with(expected),
                "{error}"
            );
        }
    }

    #[test]
    fn usable_certificates_are_counted_also_with_windows_line_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        for content in [trusted(), trusted().replace('\n', "\r\n"), format!("name\n{}", trusted())]
        {
            fs::write(&path, content).unwrap();
            let sources = vec![format!("SSL_CERT_FILE={}", path.display())];
            let expected =
                TrustedCertificates::Variables { sources, count: 1, problems: Vec::new() };
            assert_eq!(read(&[(FILE_VARIABLE, &path)]), Ok(expected));
        }
        let none = dir.path().join("none");
        let Ok(TrustedCertificates::Variables { count, problems, .. }) =
            read(&[(FILE_VARIABLE, &none), (DIR_VARIABLE, dir.path())])
        else {
            panic!("the directory has a certificate")
        };
        assert_eq!(count, 1);
        assert_eq!(
            problems,
            [format!("SSL_CERT_FILE names {}, which does not exist", none.display())]
        );
        assert_eq!(read(&[]), Ok(TrustedCertificates::System));
        assert_eq!(read(&[(DIR_VARIABLE, Path::new(""))]), Ok(TrustedCertificates::System));
    }
}
