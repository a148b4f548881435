//! The key that signs receipts of deletions: Ed25519 (RFC 8032), made on first use as PKCS #8
//! (RFC 8410) beside the key file. Its public half lies in `receipt.pub`, for whoever verifies.

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::{Vault, VaultError, master};

const PRIVATE: &str = "receipt.key";
const PUBLIC: &str = "receipt.pub";

/// Signs.
pub(crate) struct ReceiptSigner {
    key: SigningKey,
}

impl ReceiptSigner {
    /// Signs these bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }

    /// The public half as PEM (RFC 8410).
    pub(crate) fn public_pem(&self) -> String {
        let pem = self.public().to_public_key_pem(LineEnding::LF);
        pem.expect("32 bytes are always a public key in PEM")
    }

    /// The public half.
    pub(crate) fn public(&self) -> VerifyingKey {
        self.key.verifying_key()
    }
}

impl Vault {
    /// The key that signs receipts, made if there is none.
    pub(crate) fn receipt_signer(&self) -> Result<ReceiptSigner, VaultError> {
        self.make_folder()?;
        let path = self.shared.folder.join(PRIVATE);
        let refused = |why: String| VaultError::ReceiptKey { path: path.clone(), why };
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(pem) => {
                let key = SigningKey::from_pkcs8_pem(&pem).map_err(|e| refused(e.to_string()))?;
                return Ok(ReceiptSigner { key });
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(refused(e.to_string())),
        }
        let mut secret = Zeroizing::new([0; 32]);
        master::fill(secret.as_mut())?;
        let key = SigningKey::from_bytes(&secret);
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|e| refused(e.to_string()))?;
        let signer = ReceiptSigner { key };
        // The public half first: it is of use only beside the other.
        let public = self.shared.folder.join(PUBLIC);
        master::write_secret(&public, signer.public_pem().as_bytes())?;
        master::write_secret(&path, pem.as_bytes())?;
        Ok(signer)
    }
}
