//! Who we are to push services (RFC 8292): a key that is made on the first start, and short-lived
//! tokens signed with it. An origin and a time in; an Authorization header out.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use engine_core::time::WallTime;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};

use crate::clock::after;
use crate::secret_file::{SecretFileError, read_or_make};

/// RFC 8292 §2: at most 24 hours; half of it forgives clocks that go wrong.
const TOKEN_LIFETIME: Duration = Duration::from_hours(12);

/// Our key and whom a push service may write to.
pub(crate) struct Vapid {
    key: SigningKey,
    contact: String,
}

impl Vapid {
    /// Reads or makes the key in this file.
    pub(crate) fn open(path: &Path, contact: String) -> Result<Self, SecretFileError> {
        let secret = read_or_make(path)?;
        let key = SigningKey::from_slice(&*secret).map_err(|_| SecretFileError {
            path: path.to_owned(),
            why: "it is no key of the curve P-256; remove it to have one made".to_owned(),
        })?;
        Ok(Self { key, contact })
    }

    /// The public key as browsers take it as `applicationServerKey`: base64url, uncompressed.
    pub(crate) fn public_key(&self) -> String {
        let point = self.key.verifying_key().to_encoded_point(false);
        BASE64_URL_SAFE_NO_PAD.encode(point.as_bytes())
    }

    /// The Authorization header for push services at this origin (RFC 8292 §3).
    pub(crate) fn authorization(&self, origin: &str, now: WallTime) -> String {
        let end = after(now, TOKEN_LIFETIME).as_unix_millis() / 1_000;
        let claims = serde_json::json!({"aud": origin, "exp": end, "sub": self.contact});
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed =
            format!("{}.{}", part(r#"{"typ":"JWT","alg":"ES256"}"#), part(&claims.to_string()));
        // RFC 7518 §3.4: R and S, 32 bytes each.
        let signature: Signature = self.key.sign(signed.as_bytes());
        let signature = BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes());
        format!("vapid t={signed}.{signature}, k={}", self.public_key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier as _;

    #[test]
    fn a_token_names_its_service_and_is_signed_with_the_key_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vapid.key");
        let vapid = Vapid::open(&path, "mailto:a@example.jp".to_owned()).unwrap();
        let again = Vapid::open(&path, "mailto:a@example.jp".to_owned()).unwrap();
        assert_eq!(vapid.public_key(), again.public_key());
        let now = WallTime::from_unix_millis(1_800_000_000_000);
        let header = vapid.authorization("https://push.example", now);
        let (token, key) = header.strip_prefix("vapid t=").unwrap().split_once(", k=").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let key = VerifyingKey::from_sec1_bytes(&decode(key)).unwrap();
        let signature = Signature::from_slice(&decode(signature)).unwrap();
        key.verify(signed.as_bytes(), &signature).unwrap();
        let claims = decode(signed.split_once('.').unwrap().1);
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!(claims["aud"], "https://push.example");
        assert_eq!(claims["exp"], 1_800_043_200);
        assert_eq!(claims["sub"], "mailto:a@example.jp");
    }
}
