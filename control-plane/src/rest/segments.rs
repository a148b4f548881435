//! A message's text in pieces over REST, with what one would write down of it marked.

use axum::extract::State;
use engine_core::id::RecordingId;
use engine_core::marks::{Mark, marks};
use engine_core::private::Private;
use engine_core::text::Segment;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{May, MessagesRead};
use super::extract::PathId;
use super::messages::{find, take_text};
use super::problem::Problem;
use crate::message::Message;
use crate::plane::ControlPlane;

/// A stretch of speech.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Segment)]
pub(crate) struct SegmentView {
    /// Start, in milliseconds from the start of the recording.
    start_ms: u32,
    /// End, likewise.
    end_ms: u32,
    /// The words.
    text: String,
    /// Confidence of the words, 0 to 1.
    confidence: f32,
    /// What one would write down: telephone numbers, amounts, dates, times, numbers, names. In
    /// order; they never overlap.
    marks: Vec<MarkView>,
}

/// A marked stretch of a segment's text.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mark)]
pub(crate) struct MarkView {
    /// What it is: `phone_number`, `amount`, `date`, `time`, `number`, `name`.
    #[schema(example = "phone_number")]
    kind: &'static str,
    /// Its first character, counted in Unicode scalar values from 0.
    start: usize,
    /// The character behind its last.
    end: usize,
    /// The characters between.
    text: String,
    /// Its value where the text leaves no doubt: digits of a telephone number; `20400 JPY`;
    /// `2026-11-23`, `--11-23` without the year, `---23` without the month (XML Schema); `15:30`.
    value: Option<String>,
    /// Confidence of the words that it stands in, 0 to 1.
    confidence: f32,
}

/// A message's text in pieces.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Segments)]
pub(crate) struct SegmentsView {
    /// ISO 639-1 code of the language that was spoken.
    language: String,
    /// Name of the model that wrote it.
    model: String,
    /// In order of time.
    segments: Vec<SegmentView>,
}

/// Gives the text in pieces with their times.
#[utoipa::path(get, path = "/v1/messages/{id}/segments", tag = "messages",
    params(("id" = String, Path, format = Uuid)), responses((status = 200, body = SegmentsView)),
    security(("key" = ["messages:read"])))]
pub(crate) async fn segments(
    _: May<MessagesRead>,
    State(plane): State<ControlPlane>,
    PathId(id): PathId<RecordingId>,
) -> Result<axum::Json<SegmentsView>, Problem> {
    Ok(axum::Json(segments_of(find(&plane, id).await?)?))
}

/// A message's text in pieces.
pub(crate) fn segments_of(message: Message) -> Result<SegmentsView, Problem> {
    let text = take_text(message)?;
    let views = text.segments.into_iter().map(|segment| SegmentView {
        start_ms: segment.start_ms,
        end_ms: segment.end_ms,
        marks: marks_of(&segment, &text.language),
        text: segment.text.into_inner(),
        confidence: segment.confidence,
    });
    let segments = views.collect();
    Ok(SegmentsView { segments, language: text.language, model: text.model })
}

fn marks_of(segment: &Segment, language: &str) -> Vec<MarkView> {
    let text = segment.text.reveal();
    let view = |mark: Mark| MarkView {
        kind: mark.kind.name(),
        start: mark.start,
        end: mark.end,
        text: mark.text_in(text),
        value: mark.value.map(Private::into_inner),
        confidence: segment.confidence,
    };
    marks(text, language).into_iter().map(view).collect()
}
