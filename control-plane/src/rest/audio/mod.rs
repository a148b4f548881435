//! Sound files to text over REST, as OpenAI's API has it, so that any Whisper client can use the
//! engine. In: a form with a file. Out: its text in the format that was asked for, at once or
//! passage by passage. Files are read by the engine in the same batches as calls, and behind them.

use axum::extract::{Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use crossbeam::channel::TrySendError;
use engine_core::file_work::{FileText, FileTold, FileWork, FileWorkError};
use engine_core::manner::Task;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError};
use tracing::error;

use self::answer::VerboseView;
use self::form::{Asked, TranscriptionForm, TranslationForm};
use super::auth::{May, TranscriptionsWrite};
use super::problem::{Kind, Problem};
use crate::limits::FILE_FORM_BYTES_MAX;
use crate::plane::ControlPlane;

mod answer;
mod form;
mod language;
mod refusal;
mod stream;

pub(crate) use self::refusal::also_as_openai;

/// Turns a sound file (WAV, MP3, FLAC, Ogg; at most 25 MB and 30 minutes) into text. Takes what
/// `OpenAI`'s clients send: point their base URL at `/v1` and give an API key of this service. Any
/// `model` is taken; the loaded one reads. Silence and noise give an empty text and
/// `no_words_reason`. Refusals carry `error` as those clients expect it.
#[utoipa::path(post, path = "/v1/audio/transcriptions", tag = "audio",
    request_body(content = inline(TranscriptionForm), content_type = "multipart/form-data"),
    responses((status = 200, content((VerboseView = "application/json"),
        (String = "text/plain"),
        (String = "text/event-stream")))),
    security(("key" = ["transcriptions:write"])))]
pub(crate) async fn transcriptions(
    _: May<TranscriptionsWrite>,
    State(plane): State<ControlPlane>,
    request: Request,
) -> Result<Response, Problem> {
    read(&plane, request, Task::Transcribe).await
}

/// Turns a sound file in any language that the model knows into English text.
#[utoipa::path(post, path = "/v1/audio/translations", tag = "audio",
    request_body(content = inline(TranslationForm), content_type = "multipart/form-data"),
    responses((status = 200, content((VerboseView = "application/json"),
        (String = "text/plain")))),
    security(("key" = ["transcriptions:write"])))]
pub(crate) async fn translations(
    _: May<TranscriptionsWrite>,
    State(plane): State<ControlPlane>,
    request: Request,
) -> Result<Response, Problem> {
    read(&plane, request, Task::Translate).await
}

/// What the engine tells of a file; when it is dropped the engine leaves the rest.
struct Reading {
    told: UnboundedReceiver<FileTold>,
    /// Room for the form: given back when all is told.
    _room: OwnedSemaphorePermit,
}

async fn read(plane: &ControlPlane, request: Request, task: Task) -> Result<Response, Problem> {
    let room = room_for(plane, &request)?;
    let Asked { file, wishes, format, stream } = form::read(request, task).await?;
    let (tell, told) = mpsc::unbounded_channel();
    let told_to = Box::new(move |told| tell.send(told).is_ok());
    let work = FileWork { file, wishes: wishes.clone(), told: told_to };
    plane.shared.files.try_send(work).map_err(|why| match why {
        TrySendError::Full(_) => Problem::unavailable("too many files wait; try again soon"),
        TrySendError::Disconnected(_) => Problem::unavailable("the engine does not run"),
    })?;
    let mut reading = Reading { told, _room: room };
    if stream {
        return stream::answer(plane, reading).await;
    }
    loop {
        if let FileTold::Done(done) = reading.next().await? {
            let text = done.map_err(|why| refused(&why))?;
            return Ok(answer::answer(&text, &format));
        }
    }
}

impl Reading {
    /// What is told next; `Done` is the last.
    async fn next(&mut self) -> Result<FileTold, Problem> {
        let dropped = || Problem::new(Kind::Internal, "the engine dropped the file without a word");
        self.told.recv().await.ok_or_else(dropped)
    }
}

/// Room for the whole form, before any of it is taken in.
fn room_for(plane: &ControlPlane, request: &Request) -> Result<OwnedSemaphorePermit, Problem> {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let bytes = announced.unwrap_or(FILE_FORM_BYTES_MAX).min(FILE_FORM_BYTES_MAX);
    let kib = u32::try_from(bytes / 1_024 + 1).unwrap_or(u32::MAX);
    plane.shared.file_room.clone().try_acquire_many_owned(kib).map_err(|why| match why {
        TryAcquireError::NoPermits => {
            Problem::unavailable("too many files are sent at once; try again soon")
        }
        TryAcquireError::Closed => Problem::unavailable("the service is stopping"),
    })
}

/// Why a file gave no text, for its sender.
fn refused(why: &FileWorkError) -> Problem {
    let sentence = why.to_string();
    match why {
        FileWorkError::Unreadable { .. } | FileWorkError::TooLong { .. } => {
            Problem::new(Kind::InvalidSound, sentence).about("file")
        }
        FileWorkError::Language { .. } => Problem::invalid_field("language", sentence),
        FileWorkError::Translation { .. } => Problem::invalid_field("model", sentence),
        FileWorkError::Stopping => Problem::unavailable(sentence),
        _ => {
            error!(why = sentence, "A file could not be read.");
            Problem::new(Kind::Internal, "the engine failed; the service's log says more")
        }
    }
}

/// Language of a file's text in the words of the API.
fn language_of(text: &FileText) -> &str {
    language::name(&text.read.transcript.language)
}
