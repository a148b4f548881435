//! One mail as bytes (RFC 5322, RFC 2045–2049). Same delivery in, same mail out, so that a mail
//! that is sent again after a crash carries the same Message-ID.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use engine_core::text::Language;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, MultiPartKind, SinglePart};
use sha2::{Digest, Sha256};

use crate::outbox::Delivery;
use crate::template::Words;

/// Why a mail cannot be written; trying again will not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ComposeError {
    /// Not an address.
    #[error("the target is no mail address")]
    Target,
    /// The mail could not be put together.
    #[error("the mail cannot be written: {0}")]
    Mail(#[from] lettre::error::Error),
}

/// Hexadecimal name of a delivery: the left part of its Message-ID, the name of its file.
pub(crate) fn delivery_name(delivery: &Delivery) -> String {
    let mut hash = Sha256::new();
    let parts = [&delivery.id().to_string(), delivery.channel.name(), &delivery.target];
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..20])
}

/// Writes the mail of a delivery.
pub(crate) fn compose(
    from: &Mailbox,
    delivery: &Delivery,
    language: Language,
    words: Words,
    mp3: Option<Bytes>,
) -> Result<lettre::Message, ComposeError> {
    let name = delivery_name(delivery);
    let to = delivery.target.parse().map_err(|_| ComposeError::Target)?;
    let millis = u64::try_from(delivery.created_at.as_unix_millis()).unwrap_or(0);
    let builder = lettre::Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(words.subject)
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
        .message_id(Some(format!("<{name}@{}>", from.email.domain())))
        // RFC 3834 §5: nobody's auto-responder should answer.
        .raw_header(raw("Auto-Submitted", "auto-generated"))
        .raw_header(raw("Content-Language", language.code()));
    let text = SinglePart::plain(words.body);
    let Some(mp3) = mp3 else { return Ok(builder.singlepart(text)?) };
    let kind = ContentType::parse("audio/mpeg").expect("a type written here");
    let sound = Attachment::new(words.file).body(mp3.to_vec(), kind);
    let parts = MultiPart::builder()
        .kind(MultiPartKind::Mixed)
        .boundary(format!("=_{name}"))
        .singlepart(text)
        .singlepart(sound);
    Ok(builder.multipart(parts)?)
}

fn raw(name: &'static str, value: &str) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::{Notice, NoticeBody, NoticeId};
    use crate::outbox::Channel;
    use engine_core::time::WallTime;

    fn delivery(target: &str) -> Delivery {
        let created_at = WallTime::from_unix_millis(1_795_359_845_006);
        Delivery {
            notice: Notice::new(NoticeId::from_u128(7), NoticeBody::NewMessage, "7", created_at),
            channel: Channel::Mail,
            target: target.to_owned(),
            attempts: 0,
            maybe_sent: 0,
            created_at,
            lease: "any".to_owned(),
        }
    }

    fn mail(target: &str) -> Result<Vec<u8>, ComposeError> {
        let words = Words {
            subject: "件名".to_owned(),
            file: "音声.mp3".to_owned(),
            body: "本文".to_owned(),
        };
        let from = "留守番電話 <rusuden@example.jp>".parse().unwrap();
        let mp3 = Some(Bytes::from_static(&[0xff, 0xfb, 0x90]));
        let mail = compose(&from, &delivery(target), Language::Japanese, words, mp3)?;
        Ok(mail.formatted())
    }

    #[test]
    fn the_same_delivery_gives_the_same_mail_byte_for_byte() {
        assert_eq!(mail("a@example.jp").unwrap(), mail("a@example.jp").unwrap());
    }

    #[test]
    fn the_message_id_tells_deliveries_apart() {
        let name = delivery_name(&delivery("a@example.jp"));
        assert_ne!(name, delivery_name(&delivery("b@example.jp")));
        let text = String::from_utf8(mail("a@example.jp").unwrap()).unwrap();
        assert!(text.contains(&format!("Message-ID: <{name}@example.jp>")), "{text}");
    }

    #[test]
    fn a_target_that_is_no_address_is_refused() {
        assert!(matches!(mail("nobody"), Err(ComposeError::Target)));
    }
}
