//! Mail: a message's data in, a whole mail out, and its way to the server or a folder.
//!
//! `compose` writes the mail (RFC 5322), `dkim` signs it, `send` hands it over; the words come from `template`.

pub(crate) mod compose;
pub(crate) mod dkim;
pub(crate) mod send;
