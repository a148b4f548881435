//! Refusals that OpenAI's clients understand: problem details with the member `error` beside
//! RFC 9457's own (§3.2 allows more members), so that one answer serves both readers.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_LENGTH};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::rest::accept;
use crate::rest::problem::{Problem, ProblemBody};

/// What OpenAI's clients look for.
#[derive(Debug, Serialize)]
pub(super) struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'static str>,
    code: &'static str,
}

#[derive(Debug, Serialize)]
struct Both<'a> {
    #[serde(flatten)]
    problem: &'a ProblemBody,
    error: OpenAiError<'a>,
}

impl<'a> From<&'a ProblemBody> for OpenAiError<'a> {
    fn from(problem: &'a ProblemBody) -> Self {
        let r#type = match problem.status() {
            500.. => "server_error",
            429 => "rate_limit_error",
            _ => "invalid_request_error",
        };
        let (message, code) = (problem.detail(), problem.code());
        Self { message, r#type, param: problem.field(), code }
    }
}

/// Adds `error` to every refusal of the routes inside.
pub(crate) async fn also_as_openai(request: Request, next: Next) -> Response {
    let language = accept::language(request.headers().get(ACCEPT_LANGUAGE));
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return response };
    let problem = problem.told(language);
    let both = Both { problem: &problem, error: (&problem).into() };
    let bytes = serde_json::to_vec(&both).expect("strings and numbers are always JSON");
    let (mut parts, _) = response.into_parts();
    // The length of the body that is replaced.
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.code()));
    (parts, bytes).into_response()
}
