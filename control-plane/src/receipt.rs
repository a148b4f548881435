//! Receipts of deletions: what was deleted, when, and that its key was destroyed, signed with
//! Ed25519 (RFC 8032) over canonical bytes, so that anybody verifies one offline with the public
//! key alone. Pure: counts, times and a signer in, JSON out; JSON and a public key in, a verdict out.
//!
//! Canonical bytes: JSON without white space, members sorted by name, strings and whole numbers
//! only. So a receipt may be printed, indented or stored anyhow between signing and verifying.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::{Signature, VerifyingKey};
use engine_core::id::MailboxId;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::store::Deletion;
use crate::vault::Held;
use crate::vault::signer::ReceiptSigner;
use crate::wording::time_utc;

/// Version of the form below.
const VERSION: u32 = 1;
const ALGORITHM: &str = "Ed25519";
/// Deepest nesting of a receipt: more is no receipt of ours.
const DEPTH_MAX: usize = 8;

/// How much was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// Messages.
    pub messages: u64,
    /// Texts of messages, with their segments.
    pub texts: u64,
    /// Callers' numbers.
    pub caller_numbers: u64,
    /// Recordings as they came in.
    pub recordings: u64,
    /// MP3s.
    pub mp3s: u64,
    /// Own greetings.
    pub greetings: u64,
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this form.
    pub version: u32,
    /// Which mailbox.
    pub mailbox: String,
    /// When it was deleted. RFC 3339, UTC.
    pub requested_at: String,
    /// When nothing was left. RFC 3339, UTC.
    pub completed_at: String,
    /// How much was deleted.
    pub deleted: Deleted,
    /// Id of the data key that was destroyed; left out when nothing had ever been sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_key: Option<String>,
    /// When it was destroyed. RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_key_destroyed_at: Option<String>,
}

/// A receipt as it is handed out.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    receipt: Value,
    algorithm: String,
    /// The first 8 bytes of the SHA-256 of the public key, in hex.
    key_id: String,
    /// Base64.
    signature: String,
}

/// Why a receipt does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Not a receipt.
    #[error("this is no receipt of a deletion: {why}")]
    Malformed {
        /// What is wrong.
        why: String,
    },
    /// Not a public key.
    #[error(
        "the key must be a PEM file with BEGIN PUBLIC KEY, such as keys/receipt.pub of the service"
    )]
    Key,
    /// Signed with another key.
    #[error("the receipt was signed with the key {signed_with}, not with {given}")]
    OtherKey {
        /// Id of the key that it names.
        signed_with: String,
        /// Id of the key that was given.
        given: String,
    },
    /// The signature is wrong.
    #[error("the signature does not fit: the receipt was changed")]
    Signature,
}

impl Receipt {
    /// The receipt of a deletion that was completed at `now`.
    pub(crate) fn of(deletion: &Deletion, key: &Held, now: WallTime) -> Self {
        let (data_key, destroyed_at) = match key {
            Held::Destroyed { at, id: Some(id) } => (Some(id.clone()), Some(time_utc(*at))),
            _ => (None, None),
        };
        Self {
            version: VERSION,
            mailbox: deletion.mailbox.to_string(),
            requested_at: time_utc(deletion.requested_at),
            completed_at: time_utc(now),
            deleted: deletion.deleted,
            data_key,
            data_key_destroyed_at: destroyed_at,
        }
    }

    /// Signs it: JSON as [`verify`] takes it.
    pub(crate) fn sign(&self, signer: &ReceiptSigner) -> String {
        let receipt = serde_json::to_value(self).expect("strings and numbers are always JSON");
        let bytes = canonical(&receipt).expect("a receipt holds strings and whole numbers only");
        let signed = Signed {
            receipt,
            algorithm: ALGORITHM.to_owned(),
            key_id: key_id(&signer.public()),
            signature: STANDARD.encode(signer.sign(&bytes)),
        };
        serde_json::to_string_pretty(&signed).expect("strings and numbers are always JSON")
    }

    /// Whose mailbox it was.
    pub fn mailbox(&self) -> Option<MailboxId> {
        self.mailbox.parse().ok()
    }
}

/// Checks a signed receipt against a public key (PEM, RFC 8410); what it says if it holds.
pub fn verify(signed: &str, public_key_pem: &str) -> Result<Receipt, ReceiptError> {
    let malformed = |why: String| ReceiptError::Malformed { why };
    let key = VerifyingKey::from_public_key_pem(public_key_pem).map_err(|_| ReceiptError::Key)?;
    let signed: Signed = serde_json::from_str(signed).map_err(|e| malformed(e.to_string()))?;
    if signed.algorithm != ALGORITHM {
        return Err(malformed(format!("its algorithm is not {ALGORITHM}")));
    }
    let given = key_id(&key);
    if signed.key_id != given {
        return Err(ReceiptError::OtherKey { signed_with: signed.key_id, given });
    }
    let signature = STANDARD.decode(&signed.signature).map_err(|_| ReceiptError::Signature)?;
    let signature = Signature::from_slice(&signature).map_err(|_| ReceiptError::Signature)?;
    let bytes = canonical(&signed.receipt)
        .ok_or_else(|| malformed("it holds more than strings and whole numbers".to_owned()))?;
    key.verify_strict(&bytes, &signature).map_err(|_| ReceiptError::Signature)?;
    let receipt: Receipt =
        serde_json::from_value(signed.receipt).map_err(|e| malformed(e.to_string()))?;
    if receipt.version != VERSION {
        return Err(malformed(format!("its version is {}, not {VERSION}", receipt.version)));
    }
    Ok(receipt)
}

/// Names a public key.
pub(crate) fn key_id(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

/// The bytes that are signed; `None` for what no receipt holds.
fn canonical(value: &Value) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    write_canonical(value, &mut bytes, DEPTH_MAX)?;
    Some(bytes)
}

fn write_canonical(value: &Value, bytes: &mut Vec<u8>, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::String(text) => bytes.extend(serde_json::to_vec(text).ok()?),
        Value::Number(number) => bytes.extend(number.as_u64()?.to_string().into_bytes()),
        Value::Object(members) => {
            let mut names: Vec<_> = members.iter().collect();
            names.sort_by(|a, b| a.0.cmp(b.0));
            bytes.push(b'{');
            for (at, (name, value)) in names.into_iter().enumerate() {
                if at > 0 {
                    bytes.push(b',');
                }
                bytes.extend(serde_json::to_vec(name).ok()?);
                bytes.push(b':');
                write_canonical(value, bytes, depth)?;
            }
            bytes.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Array(_) => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::{Vault, VaultConfig};
    use serde_json::json;

    fn signed() -> (tempfile::TempDir, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::new(folder.path(), &VaultConfig::default());
        let signer = vault.receipt_signer().unwrap();
        let deletion = Deletion {
            mailbox: MailboxId::from_u128(7),
            requested_at: WallTime::from_unix_millis(1_800_000_000_000),
            deleted: Deleted { messages: 3, texts: 2, ..Deleted::default() },
            notices: Vec::new(),
            receipt: None,
        };
        let at = WallTime::from_unix_millis(1_800_000_000_500);
        let key = Held::Destroyed { at, id: Some("id".to_owned()) };
        let signed = Receipt::of(&deletion, &key, at).sign(&signer);
        let public = std::fs::read_to_string(folder.path().join("keys/receipt.pub")).unwrap();
        (folder, signed, public)
    }

    #[test]
    fn a_receipt_verifies_with_the_public_key_alone_however_it_is_printed() {
        let (_folder, signed, public) = signed();
        let receipt = verify(&signed, &public).unwrap();
        assert_eq!((receipt.deleted.messages, receipt.deleted.texts), (3, 2));
        assert_eq!(receipt.mailbox(), Some(MailboxId::from_u128(7)));
        assert_eq!(receipt.completed_at, "2027-01-15T08:00:00.500Z");
        let value: Value = serde_json::from_str(&signed).unwrap();
        assert_eq!(verify(&value.to_string(), &public).unwrap(), receipt);
    }

    #[test]
    fn any_change_is_noticed() {
        let (_folder, signed, public) = signed();
        let mut value: Value = serde_json::from_str(&signed).unwrap();
        let changes = [
            ("/receipt/mailbox", json!("00000000-0000-0000-0000-000000000008")),
            ("/receipt/deleted/messages", json!(4)),
            ("/receipt/completed_at", json!("2027-01-15T08:00:00.501Z")),
            ("/receipt/deleted", json!({})),
            ("/signature", json!("AAAA")),
        ];
        for (path, new) in changes {
            let old = std::mem::replace(value.pointer_mut(path).unwrap(), new);
            assert_eq!(verify(&value.to_string(), &public), Err(ReceiptError::Signature), "{path}");
            *value.pointer_mut(path).unwrap() = old;
        }
        value["receipt"]["more"] = json!(1);
        assert_eq!(verify(&value.to_string(), &public), Err(ReceiptError::Signature));
        value["receipt"]["more"] = json!([1]);
        let error = verify(&value.to_string(), &public).unwrap_err();
        assert!(matches!(error, ReceiptError::Malformed { .. }));
    }

    #[test]
    fn another_key_and_what_is_no_key_are_refused() {
        let (_folder, ours, public) = signed();
        let (_other_folder, _, other) = signed();
        assert!(matches!(verify(&ours, &other), Err(ReceiptError::OtherKey { .. })));
        assert_eq!(verify(&ours, "no key"), Err(ReceiptError::Key));
        for text in ["", "{}", "[]", "\u{0}"] {
            assert!(matches!(verify(text, &public), Err(ReceiptError::Malformed { .. })));
        }
    }

    #[test]
    fn the_key_is_made_once_and_only_its_public_half_is_public() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, ..) = signed();
        let vault = Vault::new(folder.path(), &VaultConfig::default());
        let again = vault.receipt_signer().unwrap().public();
        let public = std::fs::read_to_string(folder.path().join("keys/receipt.pub")).unwrap();
        assert_eq!(VerifyingKey::from_public_key_pem(&public).unwrap(), again);
        let private = folder.path().join("keys/receipt.key");
        assert_eq!(std::fs::metadata(private).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn canonical_bytes_are_sorted_and_plain() {
        let value = json!({"b": {"d": 1, "c": "\"é"}, "a": 18_446_744_073_709_551_615_u64});
        let bytes = canonical(&value).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, r#"{"a":18446744073709551615,"b":{"c":"\"é","d":1}}"#);
        assert_eq!(canonical(&json!(-1)), None);
        assert_eq!(canonical(&json!(1.5)), None);
        let mut deep = json!(1);
        for _ in 0..DEPTH_MAX - 1 {
            deep = json!({ "a": deep });
        }
        assert!(canonical(&deep).is_some());
        assert_eq!(canonical(&json!({ "a": deep })), None);
    }
}
