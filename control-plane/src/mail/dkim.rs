//! Signatures of mails (RFC 6376; Ed25519 by RFC 8463). A mail in; header lines to put before it
//! out. Keys are PEM files, as `openssl genpkey` and `openssl genrsa` write them.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::message::dkim::{
    DkimCanonicalization, DkimCanonicalizationType, DkimConfig as Signer, DkimSigningAlgorithm,
    DkimSigningKey,
};
use lettre::message::header::HeaderName;
use p256::pkcs8::der::pem::LineEnding;
use p256::pkcs8::{ObjectIdentifier, PrivateKeyInfo, SecretDocument};
use zeroize::Zeroizing;

use crate::config::DkimConfig;

const HEADER: &str = "DKIM-Signature";
/// RFC 6376 §5.4.1: what a reader sees or a program acts on.
const SIGNED: [&str; 9] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Language",
    "Auto-Submitted",
];
/// RFC 8017 A.1
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 8410 §3
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Why mails cannot be signed.
#[derive(Debug, thiserror::Error)]
#[error("dkim.key_file: {path} cannot be used: {why}")]
#[non_exhaustive]
pub struct DkimError {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// Signs mails, once with each key.
pub(crate) struct Dkim(Vec<Signer>);

impl fmt::Debug for Dkim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dkim").field("keys", &self.0.len()).finish()
    }
}

impl Dkim {
    /// Reads the keys.
    pub(crate) fn open(configs: &[DkimConfig]) -> Result<Self, DkimError> {
        configs.iter().map(signer).collect::<Result<_, _>>().map(Self)
    }

    /// The mail as bytes, its signatures first.
    pub(crate) fn sign(&self, mail: &lettre::Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        for signer in &self.0 {
            // Each signature in a copy: a mail of lettre's holds only one.
            let mut copy = mail.clone();
            copy.sign(signer);
            if let Some(value) = copy.headers().get_raw(HEADER) {
                bytes.extend_from_slice(format!("{HEADER}: {value}\r\n").as_bytes());
            }
        }
        bytes.extend_from_slice(&mail.formatted());
        bytes
    }
}

fn signer(config: &DkimConfig) -> Result<Signer, DkimError> {
    let refused = |why: String| DkimError { path: config.key_file.clone(), why };
    let pem = std::fs::read_to_string(&config.key_file).map_err(|e| refused(e.to_string()))?;
    let (key, algorithm) = read_key(&Zeroizing::new(pem)).map_err(refused)?;
    let key = DkimSigningKey::new(&key, algorithm).map_err(|e| refused(e.to_string()))?;
    let headers = SIGNED.iter().map(|name| HeaderName::new_from_ascii_str(name)).collect();
    let relaxed = DkimCanonicalization {
        header: DkimCanonicalizationType::Relaxed,
        body: DkimCanonicalizationType::Relaxed,
    };
    Ok(Signer::new(config.selector.clone(), config.domain.clone(), key, headers, relaxed))
}

/// The key as lettre takes it: PKCS #1 for RSA, base64 of the seed for Ed25519.
fn read_key(pem: &str) -> Result<(Zeroizing<String>, DkimSigningAlgorithm), String> {
    let (label, document) =
        SecretDocument::from_pem(pem).map_err(|_| "it is no PEM file".to_owned())?;
    if label == "RSA PRIVATE KEY" {
        return Ok((Zeroizing::new(pem.to_owned()), DkimSigningAlgorithm::Rsa));
    }
    let info = PrivateKeyInfo::try_from(document.as_bytes())
        .map_err(|_| format!("it holds {label}, not a private key without password"))?;
    match info.algorithm.oid {
        RSA => {
            let key = SecretDocument::try_from(info.private_key).map_err(|e| e.to_string())?;
            let pem = key.to_pem("RSA PRIVATE KEY", LineEnding::LF).map_err(|e| e.to_string())?;
            Ok((pem, DkimSigningAlgorithm::Rsa))
        }
        ED25519 => match info.private_key {
            // RFC 8410 §7: an octet string of 32 bytes inside of the octet string.
            [0x04, 0x20, seed @ ..] if seed.len() == 32 => {
                let seed = Zeroizing::new(BASE64_STANDARD.encode(seed));
                Ok((seed, DkimSigningAlgorithm::Ed25519))
            }
            _ => Err("its Ed25519 key has a wrong length".to_owned()),
        },
        other => Err(format!("its algorithm {other} is neither RSA nor Ed25519")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_no_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key_file = folder.path().join("dkim.pem");
        let config = |key_file: &std::path::Path| DkimConfig {
            domain: "example.jp".to_owned(),
            selector: "a".to_owned(),
            key_file: key_file.to_owned(),
        };
        assert!(Dkim::open(&[config(&key_file)]).unwrap_err().to_string().contains("dkim.pem"));
        let wrong = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for text in ["", "hello", wrong] {
            std::fs::write(&key_file, text).unwrap();
            let error = Dkim::open(&[config(&key_file)]).unwrap_err();
            assert!(error.to_string().contains("dkim.pem"), "{error}");
        }
    }
}
