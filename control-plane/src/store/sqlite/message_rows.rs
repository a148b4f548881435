//! A message as it reads in its row. In: a row and the key of its mailbox. Out: the message.

use engine_core::caller::Caller;
use engine_core::codec::Codec;
use engine_core::private::Private;
use engine_core::text::Segment;
use engine_core::time::WallTime;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::sealed::{message_place, open};
use super::{time, unreadable};
use crate::mailbox::language_from_name;
use crate::message::{
    Message, MessageAudio, MessageText, NewMessage, StoredState, verdict_from_name,
};
use crate::store::StoreError;
use crate::vault::DataKey;

#[derive(Serialize, Deserialize)]
struct SegmentRow {
    start_ms: u32,
    end_ms: u32,
    text: String,
    confidence: f32,
}

/// Segments as they are kept, before they are sealed.
pub(super) fn segments_text(segments: &[Segment]) -> String {
    let rows: Vec<_> = segments
        .iter()
        .map(|segment| SegmentRow {
            start_ms: segment.start_ms,
            end_ms: segment.end_ms,
            text: segment.text.reveal().clone(),
            confidence: segment.confidence,
        })
        .collect();
    serde_json::to_string(&rows).expect("numbers and strings are always JSON")
}

fn read_segments(text: &str) -> Option<Vec<Segment>> {
    let rows: Vec<SegmentRow> = serde_json::from_str(text).ok()?;
    let segment = |row: SegmentRow| Segment {
        start_ms: row.start_ms,
        end_ms: row.end_ms,
        text: Private::new(row.text),
        confidence: row.confidence,
    };
    Some(rows.into_iter().map(segment).collect())
}

/// A message; without a key, what is sealed is left out.
pub(super) fn read(row: &SqliteRow, key: Option<&DataKey>) -> Result<Message, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("message {id}"), what);
    let state: String = row.try_get("state")?;
    let optional_time = |column| -> Result<Option<WallTime>, StoreError> {
        Ok(row.try_get::<Option<i64>, _>(column)?.map(time))
    };
    let audio = match row.try_get::<Option<i64>, _>("audio_bytes")? {
        Some(bytes) => {
            Some(MessageAudio { bytes: bytes as u64, sha256: row.try_get("audio_sha256")? })
        }
        None => None,
    };
    Ok(Message {
        arrived: read_arrived(row, key)?,
        state: StoredState::from_name(&state).ok_or_else(|| wrong("an unknown state"))?,
        text: read_text(row, key)?,
        audio,
        failure: row.try_get("failure")?,
        read_at: optional_time("read_at")?,
        notified_at: optional_time("notified_at")?,
    })
}

fn read_arrived(row: &SqliteRow, key: Option<&DataKey>) -> Result<NewMessage, StoreError> {
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("message {id}"), what);
    let mailbox: String = row.try_get("mailbox")?;
    let kind: String = row.try_get("caller_kind")?;
    let number = read_sealed(row, "caller_number", key)?;
    let kind = if key.is_none() && kind == "number" { "withheld" } else { &kind };
    let codec: String = row.try_get("codec")?;
    let language: String = row.try_get("language")?;
    let count = |column| -> Result<u64, StoreError> { Ok(row.try_get::<i64, _>(column)? as u64) };
    Ok(NewMessage {
        id: id.parse().map_err(|_| wrong("a malformed id"))?,
        mailbox: mailbox.parse().map_err(|_| wrong("a malformed mailbox"))?,
        caller: Caller::from_parts(kind, number.as_deref())
            .ok_or_else(|| wrong("an unknown kind of caller"))?,
        codec: Codec::from_name(&codec).ok_or_else(|| wrong("an unknown codec"))?,
        language: language_from_name(&language).ok_or_else(|| wrong("an unknown language"))?,
        answered_at: time(row.try_get("answered_at")?),
        received_at: time(row.try_get("received_at")?),
        end_reason: row.try_get("end_reason")?,
        frames: count("frames")? as u32,
        lost: count("lost")? as u32,
        duration_ms: count("duration_ms")?,
        call_ms: count("call_ms")?,
        payload_sha256: row.try_get("payload_sha256")?,
        recording_bytes: count("recording_bytes")?,
    })
}

/// A sealed column, opened.
fn read_sealed(
    row: &SqliteRow,
    column: &'static str,
    key: Option<&DataKey>,
) -> Result<Option<String>, StoreError> {
    let sealed: Option<String> = row.try_get(column)?;
    let id: String = row.try_get("id")?;
    let opened = sealed.zip(key).map(|(text, key)| open(key, message_place(column, &id), &text));
    opened.transpose()
}

fn read_text(row: &SqliteRow, key: Option<&DataKey>) -> Result<Option<MessageText>, StoreError> {
    if key.is_none() {
        return Ok(None);
    }
    let Some(verdict) = row.try_get::<Option<String>, _>("verdict")? else { return Ok(None) };
    let id: String = row.try_get("id")?;
    let wrong = |what| unreadable(format!("message {id}"), what);
    let missing = || wrong("a verdict without text");
    let text = read_sealed(row, "text", key)?.ok_or_else(missing)?;
    let segments = read_sealed(row, "segments", key)?.ok_or_else(missing)?;
    Ok(Some(MessageText {
        language: row.try_get("spoken_language")?,
        verdict: verdict_from_name(&verdict).ok_or_else(|| wrong("an unknown verdict"))?,
        text: Private::new(text),
        segments: read_segments(&segments).ok_or_else(|| wrong("malformed segments"))?,
        confidence: row.try_get::<f64, _>("confidence")? as f32,
        model: row.try_get("model")?,
    }))
}
