//! Mail: a message's data in, a whole mail out, and its way to the server or a folder.
//!
//! `template` writes the words, `compose` the mail (RFC 5322), `send` hands it over.

pub(crate) mod compose;
pub(crate) mod send;
pub(crate) mod template;
