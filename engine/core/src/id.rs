//! Names of things: newtypes over 128-bit UUIDs (version 7 outside, any bits inside).
//!
//! Ids are minted by shells, because minting needs chance and a clock. They read and print as
//! lower-case hyphenated UUIDs (RFC 9562 §4).

use std::fmt;
use std::str::FromStr;

/// Text that is not a UUID where an id was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: expected a UUID such as 01980c2e-7b7a-7cc3-98c4-dc0c0c07398f")]
#[non_exhaustive]
pub struct IdError {
    /// What was given, cut to 64 characters.
    pub text: String,
}

fn parse_uuid(text: &str) -> Result<u128, IdError> {
    let wrong = || IdError { text: text.chars().take(64).collect() };
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return Err(wrong());
    }
    let mut value = 0_u128;
    for (at, &byte) in bytes.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return Err(wrong());
            }
            continue;
        }
        let digit = char::from(byte).to_digit(16).ok_or_else(wrong)?;
        value = value << 4 | u128::from(digit);
    }
    Ok(value)
}

fn print_uuid(value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        value >> 96,
        value >> 80 & 0xffff,
        value >> 64 & 0xffff,
        value >> 48 & 0xffff,
        value & 0xffff_ffff_ffff
    )
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// The id with these 128 bits, most significant first.
            pub const fn from_u128(bits: u128) -> Self {
                Self(bits)
            }

            /// The 128 bits, most significant first.
            pub const fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print_uuid(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                print_uuid(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_uuid(text).map(Self)
            }
        }
    };
}

id! {
    /// One answered call's recording; also the id of the message that it becomes. Every step
    /// after the answer is idempotent under it.
    RecordingId
}
id! {
    /// One subscriber's mailbox.
    MailboxId
}

/// One call on one shard while it lasts; never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId {
    /// Which shard the call lives on.
    pub shard: u16,
    /// Its number there, never used twice in a process.
    pub number: u64,
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shard, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_reads_back_what_it_prints() {
        let id = RecordingId::from_u128(0x0198_0c2e_7b7a_7cc3_98c4_dc0c_0c07_398f);
        assert_eq!(id.to_string(), "01980c2e-7b7a-7cc3-98c4-dc0c0c07398f");
        assert_eq!(id.to_string().parse::<RecordingId>().unwrap(), id);
    }

    #[test]
    fn text_that_is_no_uuid_is_refused() {
        for text in
            ["", "x", "01980c2e-7b7a-7cc3-98c4-dc0c0c07398", "01980c2e07b7a-7cc3-98c4-dc0c0c07398f"]
        {
            assert!(text.parse::<MailboxId>().is_err(), "{text}");
        }
    }
}
