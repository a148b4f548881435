//! Sealing with a mailbox's data key: `XChaCha20-Poly1305` (draft-irtf-cfrg-xchacha-03). Plaintext,
//! place and nonce in; bytes that only the key opens, and only at that place, out. Pure: knows
//! neither where keys come from nor where bytes go.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use uuid::Uuid;
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of a nonce: long enough to be drawn at random for ever.
pub(crate) const NONCE_BYTES: usize = 24;
/// Opens every sealed text, so that nothing else is taken for one.
const TEXT_PREFIX: &str = "e1.";

/// 32 secret bytes, wiped when dropped.
pub(crate) type SecretKey = Zeroizing<[u8; KEY_BYTES]>;
/// 24 bytes that are used once.
pub(crate) type Nonce = [u8; NONCE_BYTES];

/// Where a sealed value stands. It is authenticated with the value, so that a value that is moved
/// to another row, column or object does not open there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Table, or `objects`.
    pub table: &'a str,
    /// Column, or the kind of object.
    pub column: &'a str,
    /// Id of the row, or name of the object.
    pub row: &'a str,
}

impl Place<'_> {
    /// The associated data: each part behind its length, so that no two places look alike.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = b"rusuden/1".to_vec();
        for part in [self.table, self.column, self.row] {
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// What was sealed does not open: another key, another place, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is sealed does not open with its key: it was changed or moved")]
pub struct Unsealable;

/// A mailbox's data key. Wiped when dropped; prints its id only.
pub struct DataKey {
    id: Uuid,
    key: SecretKey,
    names: SecretKey,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl DataKey {
    pub(super) fn new(id: Uuid, key: SecretKey) -> Self {
        let names = derive(&key, b"rusuden/1 nonces of equal values");
        Self { id, key, names }
    }

    /// Names the key without telling anything of it.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The secret itself, to be wrapped.
    pub(super) fn secret(&self) -> &SecretKey {
        &self.key
    }

    /// Seals bytes: nonce, ciphertext, tag.
    pub(crate) fn seal(&self, place: Place<'_>, plain: &[u8], nonce: Nonce) -> Vec<u8> {
        seal(&self.key, &place.bytes(), plain, nonce)
    }

    /// Opens what [`DataKey::seal`] made at this place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
        open(&self.key, &place.bytes(), sealed)
    }

    /// Seals a text for a text column.
    pub(crate) fn seal_text(&self, place: Place<'_>, plain: &str, nonce: Nonce) -> String {
        let sealed = self.seal(place, plain.as_bytes(), nonce);
        format!("{TEXT_PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Seals a text so that equal texts at one place look alike: for columns that must be unique.
    /// The nonce is a keyed hash of place and text, so it repeats only with both.
    pub(crate) fn seal_name(&self, place: Place<'_>, plain: &str) -> String {
        let mut mac = mac(&self.names);
        let place_bytes = place.bytes();
        mac.update(&(place_bytes.len() as u32).to_le_bytes());
        mac.update(&place_bytes);
        mac.update(plain.as_bytes());
        let hash: [u8; KEY_BYTES] = mac.finalize().into_bytes().into();
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hash[..NONCE_BYTES]);
        self.seal_text(place, plain, nonce)
    }

    /// Opens what [`DataKey::seal_text`] or [`DataKey::seal_name`] made at this place.
    pub(crate) fn open_text(&self, place: Place<'_>, sealed: &str) -> Result<String, Unsealable> {
        let encoded = sealed.strip_prefix(TEXT_PREFIX).ok_or(Unsealable)?;
        let sealed = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| Unsealable)?;
        String::from_utf8(self.open(place, &sealed)?).map_err(|_| Unsealable)
    }
}

/// Seals with any key: nonce, ciphertext, tag.
pub(super) fn seal(key: &SecretKey, place: &[u8], plain: &[u8], nonce: Nonce) -> Vec<u8> {
    let payload = Payload { msg: plain, aad: place };
    let sealed = cipher(key).encrypt(&XNonce::from(nonce), payload);
    let sealed = sealed.expect("only a plaintext of 256 GiB is too long");
    let mut bytes = Vec::with_capacity(NONCE_BYTES + sealed.len());
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(&sealed);
    bytes
}

/// Opens what [`seal`] made.
pub(super) fn open(key: &SecretKey, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealable> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(Unsealable)?;
    let payload = Payload { msg: ciphertext, aad: place };
    cipher(key).decrypt(&XNonce::from(*nonce), payload).map_err(|_| Unsealable)
}

fn cipher(key: &SecretKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_ref().into())
}

fn derive(key: &SecretKey, purpose: &[u8]) -> SecretKey {
    let mut mac = mac(key);
    mac.update(purpose);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn mac(key: &SecretKey) -> Hmac<Sha256> {
    <Hmac<Sha256> as Mac>::new_from_slice(key.as_ref()).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place<'static> = Place { table: "messages", column: "text", row: "1" };

    fn key(byte: u8) -> DataKey {
        DataKey::new(Uuid::from_u128(u128::from(byte)), Zeroizing::new([byte; KEY_BYTES]))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_at_its_place_only() {
        let sealed = key(1).seal_text(PLACE, "明日の会議は十時からです。", [7; NONCE_BYTES]);
        assert_eq!(key(1).open_text(PLACE, &sealed).unwrap(), "明日の会議は十時からです。");
        assert_eq!(key(2).open_text(PLACE, &sealed), Err(Unsealable));
        let moved = [
            Place { table: "mailboxes", ..PLACE },
            Place { column: "segments", ..PLACE },
            Place { row: "2", ..PLACE },
            // Parts may not run into each other.
            Place { table: "message", column: "stext", row: "1" },
        ];
        for place in moved {
            assert_eq!(key(1).open_text(place, &sealed), Err(Unsealable), "{place:?}");
        }
    }

    #[test]
    fn equal_names_look_alike_at_one_place_only() {
        let name = |place| key(1).seal_name(place, "a@example.jp");
        assert_eq!(name(PLACE), name(PLACE));
        assert_ne!(name(PLACE), name(Place { row: "2", ..PLACE }));
        assert_ne!(name(PLACE), key(1).seal_name(PLACE, "b@example.jp"));
        assert_ne!(name(PLACE), key(2).seal_name(PLACE, "a@example.jp"));
        assert_eq!(key(1).open_text(PLACE, &name(PLACE)).unwrap(), "a@example.jp");
    }

    #[test]
    fn a_plain_text_is_not_taken_for_a_sealed_one() {
        for plain in ["", "e1.", "e1.AAAA", "+819012345678", "明日", "e1.日本"] {
            assert_eq!(key(1).open_text(PLACE, plain), Err(Unsealable), "{plain}");
        }
    }

    #[test]
    fn a_key_does_not_print_itself() {
        let printed = format!("{:?}", key(0xab));
        assert!(!printed.contains("abab") && !printed.contains("171, 171"), "{printed}");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_and_any_flipped_bit_is_noticed(
            plain: Vec<u8>, nonce: [u8; NONCE_BYTES], at: prop::sample::Index, bit in 0..8_u8,
        ) {
            let mut sealed = key(3).seal(PLACE, &plain, nonce);
            prop_assert_eq!(sealed.len(), plain.len() + NONCE_BYTES + 16);
            prop_assert_eq!(&key(3).open(PLACE, &sealed).unwrap(), &plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert_eq!(key(3).open(PLACE, &sealed), Err(Unsealable));
        }
    }
}
