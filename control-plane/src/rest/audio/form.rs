//! The form of a sound file, as OpenAI's clients send it.
//!
//! In: a request. Out: the file, what its sender wishes of the engine, and the format of the
//! answer; or the problem with it. Fields that are not known are passed over: clients send more
//! than this service can use.

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::Bytes;
use engine_core::file_work::Wishes;
use engine_core::manner::{Task, Temperature};
use engine_core::private::Private;
use utoipa::ToSchema;

use super::language;
use crate::limits::{FILE_BYTES_MAX, FILE_DURATION_MAX, PROMPT_CHARS_MAX};
use crate::rest::problem::{Kind, Problem};

/// What a transcription's form holds.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the description reads it; the form is read field by field")]
pub(crate) struct TranscriptionForm {
    /// The sound: WAV, MP3, FLAC or Ogg.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Any; the loaded model reads.
    model: Option<String>,
    /// ISO 639-1 code of the language. Without it, it is heard.
    #[schema(example = "ja")]
    language: Option<String>,
    /// Text that the model is to believe it has just written: names, spelling, style.
    prompt: Option<String>,
    /// The format of the answer.
    response_format: Option<Format>,
    /// From 0 to 1. At 0, greedily, and warmer where that fails.
    temperature: Option<f32>,
    /// Times of what, in `verbose_json`: `segment` (the default), `word`.
    #[schema(rename = "timestamp_granularities[]")]
    timestamp_granularities: Option<Vec<Granularity>>,
    /// Whether passages are sent as they are read, as server-sent events.
    stream: Option<bool>,
}

/// What a translation's form holds.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only the description reads it; the form is read field by field")]
pub(crate) struct TranslationForm {
    /// The sound: WAV, MP3, FLAC or Ogg.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Any; the loaded model reads.
    model: Option<String>,
    /// English text that the model is to believe it has just written.
    prompt: Option<String>,
    /// The format of the answer.
    response_format: Option<Format>,
    /// From 0 to 1. At 0, greedily, and warmer where that fails.
    temperature: Option<f32>,
}

/// Formats of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum Format {
    /// The text in JSON.
    #[default]
    Json,
    /// The text alone.
    Text,
    /// `SubRip`.
    Srt,
    /// Segments, words and doubts in JSON.
    VerboseJson,
    /// `WebVTT`.
    Vtt,
}

/// What times are given of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum Granularity {
    /// Words.
    Word,
    /// Segments.
    Segment,
}

/// How the answer is to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) format: Format,
    pub(crate) segments: bool,
    pub(crate) words: bool,
}

/// What a form asks for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) file: Bytes,
    pub(crate) wishes: Wishes,
    pub(crate) format: Shape,
    pub(crate) stream: bool,
}

/// Reads a form.
pub(crate) async fn read(request: Request, task: Task) -> Result<Asked, Problem> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|why| {
        let hint = "send multipart/form-data with the field `file`";
        Problem::new(Kind::UnsupportedMediaType, format!("{}; {hint}", why.body_text()))
    })?;
    let mut fields = Fields::new(task);
    while let Some(field) = form.next_field().await? {
        fields.take(field).await?;
    }
    fields.finish()
}

/// A form of which some fields are read.
struct Fields {
    file: Option<Bytes>,
    wishes: Wishes,
    format: Format,
    granularities: Vec<Granularity>,
    stream: bool,
}

impl Fields {
    fn new(task: Task) -> Self {
        let wishes = Wishes { task, duration_max: FILE_DURATION_MAX, ..Wishes::default() };
        Self {
            file: None,
            wishes,
            format: Format::default(),
            granularities: Vec::new(),
            stream: false,
        }
    }

    async fn take(&mut self, field: Field<'_>) -> Result<(), Problem> {
        // Lists come with or without brackets.
        let name = field.name().unwrap_or_default().trim_end_matches("[]").to_owned();
        if name == "file" {
            let file = field.bytes().await?;
            if file.len() > FILE_BYTES_MAX {
                let detail = format!(
                    "the file has {} bytes; at most {FILE_BYTES_MAX} are taken",
                    file.len()
                );
                return Err(Problem::new(Kind::BodyTooLarge, detail).about("file"));
            }
            self.file = Some(file);
            return Ok(());
        }
        let text = field.text().await?;
        self.set(&name, text.trim())
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), Problem> {
        match name {
            _ if text.is_empty() => {}
            "language" if self.wishes.task == Task::Transcribe => {
                let code = language::code(text).ok_or_else(|| {
                    let detail = "give an ISO 639-1 code such as ja, or leave it out";
                    Problem::invalid_field("language", detail)
                })?;
                self.wishes.language = Some(code.to_owned());
            }
            "prompt" => {
                if text.chars().count() > PROMPT_CHARS_MAX {
                    let detail = format!("at most {PROMPT_CHARS_MAX} characters");
                    return Err(Problem::invalid_field("prompt", detail));
                }
                self.wishes.prompt = Private::new(text.to_owned());
            }
            "response_format" => self.format = format(text)?,
            "temperature" => {
                let given = text.parse().ok().and_then(Temperature::new);
                let degrees =
                    given.ok_or_else(|| Problem::invalid_field("temperature", "from 0 to 1"))?;
                self.wishes.temperature = (degrees > Temperature::GREEDY).then_some(degrees);
            }
            "timestamp_granularities" => self.granularities.push(granularity(text)?),
            "stream" if self.wishes.task == Task::Transcribe => {
                self.stream = match text.to_ascii_lowercase().as_str() {
                    "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(Problem::invalid_field("stream", "true or false")),
                };
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Asked, Problem> {
        let Self { file, mut wishes, format, granularities, stream } = self;
        let file = file.ok_or_else(|| Problem::invalid_field("file", "give a sound file"))?;
        if !granularities.is_empty() && format != Format::VerboseJson {
            let detail = "only with response_format=verbose_json";
            return Err(Problem::invalid_field("timestamp_granularities", detail));
        }
        if stream && !matches!(format, Format::Json | Format::Text) {
            let detail = "only with response_format=json or text";
            return Err(Problem::invalid_field("stream", detail));
        }
        let words = granularities.contains(&Granularity::Word);
        let segments = granularities.is_empty() || granularities.contains(&Granularity::Segment);
        wishes.words = words;
        Ok(Asked { file, wishes, format: Shape { format, segments, words }, stream })
    }
}

fn format(text: &str) -> Result<Format, Problem> {
    Ok(match text {
        "json" => Format::Json,
        "text" => Format::Text,
        "srt" => Format::Srt,
        "verbose_json" => Format::VerboseJson,
        "vtt" => Format::Vtt,
        _ => {
            let detail = "one of json, text, srt, verbose_json, vtt";
            return Err(Problem::invalid_field("response_format", detail));
        }
    })
}

fn granularity(text: &str) -> Result<Granularity, Problem> {
    match text {
        "word" => Ok(Granularity::Word),
        "segment" => Ok(Granularity::Segment),
        _ => Err(Problem::invalid_field("timestamp_granularities", "word or segment")),
    }
}

impl From<MultipartError> for Problem {
    fn from(error: MultipartError) -> Self {
        let kind = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::BodyTooLarge,
            _ => Kind::MalformedBody,
        };
        Self::new(kind, error.body_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&str, &str)], task: Task) -> Result<Asked, Problem> {
        let mut form = Fields::new(task);
        form.file = Some(Bytes::from_static(b"sound"));
        for (name, text) in fields {
            form.set(name, text)?;
        }
        form.finish()
    }

    #[test]
    fn a_file_alone_asks_for_json_greedily() {
        let Asked { wishes, format, stream, .. } = asked(&[], Task::Transcribe).unwrap();
        assert_eq!((wishes.language, wishes.temperature, wishes.words), (None, None, false));
        assert_eq!(format, Shape { format: Format::Json, segments: true, words: false });
        assert!(!stream);
    }

    #[test]
    fn every_field_is_read() {
        let fields = [
            ("model", "whisper-1"),
            ("language", "ja"),
            ("prompt", "平井"),
            ("response_format", "verbose_json"),
            ("temperature", "0.25"),
            ("timestamp_granularities", "word"),
            ("include", "logprobs"),
        ];
        let Asked { wishes, format, .. } = asked(&fields, Task::Transcribe).unwrap();
        assert_eq!(wishes.language.as_deref(), Some("ja"));
        assert_eq!(wishes.prompt.reveal(), "平井");
        assert_eq!(wishes.temperature, Temperature::new(0.25));
        assert_eq!(format, Shape { format: Format::VerboseJson, segments: false, words: true });
        assert!(asked(&[("stream", "True")], Task::Transcribe).unwrap().stream);
    }

    #[test]
    fn empty_fields_and_zero_are_as_if_left_out() {
        let fields = [("language", ""), ("temperature", "0"), ("response_format", "")];
        let Asked { wishes, .. } = asked(&fields, Task::Transcribe).unwrap();
        assert_eq!((wishes.language, wishes.temperature), (None, None));
    }

    #[test]
    fn what_cannot_be_so_is_refused() {
        let long = "あ".repeat(PROMPT_CHARS_MAX + 1);
        for fields in [
            &[("language", "klingon")][..],
            &[("response_format", "xml")],
            &[("temperature", "1.1")],
            &[("temperature", "warm")],
            &[("temperature", "NaN")],
            &[("timestamp_granularities", "letter"), ("response_format", "verbose_json")],
            &[("timestamp_granularities", "word")],
            &[("stream", "perhaps")],
            &[("stream", "true"), ("response_format", "srt")],
            &[("prompt", &long)],
        ] {
            assert!(asked(fields, Task::Transcribe).is_err(), "{fields:?}");
        }
        assert!(asked(&[("prompt", &long[3..])], Task::Transcribe).is_ok());
        assert!(Fields::new(Task::Transcribe).finish().is_err(), "no file");
    }

    #[test]
    fn translations_hear_the_language_and_do_not_stream() {
        let fields = [("language", "klingon"), ("stream", "true")];
        let Asked { wishes, stream, .. } = asked(&fields, Task::Translate).unwrap();
        assert_eq!((wishes.language, wishes.task, stream), (None, Task::Translate, false));
    }
}
