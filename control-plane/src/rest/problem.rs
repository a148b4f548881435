//! Every refusal of the API, as RFC 9457 problem details. One kind, one status, one sentence; title
//! and detail in English or Japanese, as the client prefers (RFC 9457 §3.1.3, RFC 9110 §12.5.4).

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use std::fmt::Display;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_LANGUAGE, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use engine_core::text::Language;
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::japanese::Japanese;
pub(crate) use super::problem_kind::Kind;
use crate::keys::Scope;
use crate::mailbox::MailboxError;
use crate::objects::ObjectError;
use crate::search::SearchError;
use crate::store::StoreError;

/// Media type of problem details (RFC 9457 §3).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// Problem details as the client reads them (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// URI that names the kind of problem.
    #[schema(example = "urn:rusuden:problem:not_found")]
    r#type: String,
    /// The kind in words, in the language of `Content-Language`.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Stable name of the kind.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What happened this time and what to do, likewise.
    detail: String,
    /// Which field is meant, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

impl ProblemBody {
    /// HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        self.status
    }

    /// Stable name of the kind.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// What happened and what to do.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// Which field is meant, if one is.
    pub(crate) const fn field(&self) -> Option<&'static str> {
        self.field
    }
}

/// A refusal.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    detail_ja: Option<String>,
    field: Option<&'static str>,
    /// Apart, since few have one and results should be small.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), detail_ja: None, field: None, header: None }
    }

    /// What a rule refused, in both languages.
    pub(crate) fn of(kind: Kind, error: &(impl Display + Japanese)) -> Self {
        Self::new(kind, error.to_string()).in_japanese(error.japanese())
    }

    /// Says the same in Japanese; without it, the kind's own sentence stands there.
    pub(crate) fn in_japanese(mut self, detail: impl Into<String>) -> Self {
        self.detail_ja = Some(detail.into());
        self
    }

    /// Names the field that is meant.
    pub(crate) fn about(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Adds a header; the value is ASCII.
    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        // Values come from this module and are ASCII; one that is not is left out.
        self.header = HeaderValue::from_str(value).ok().map(|value| Box::new((name, value)));
        self
    }

    pub(crate) fn range_not_satisfiable(len: usize) -> Self {
        let detail = format!("the sound has {len} bytes; ask for a range inside");
        // RFC 9110 §14.4: the current length tells the client what it may ask for.
        Self::new(Kind::RangeNotSatisfiable, detail)
            .with_header(axum::http::header::CONTENT_RANGE, &format!("bytes */{len}"))
    }

    pub(crate) fn no_key() -> Self {
        let detail = "send the header Authorization: Bearer rsk_…; make a key with `rusuden key`";
        Self::new(Kind::NoKey, detail).with_header(WWW_AUTHENTICATE, "Bearer realm=\"rusuden\"")
    }

    pub(crate) fn wrong_key() -> Self {
        let detail = "the key is malformed, unknown or revoked; make a new one";
        // RFC 6750 §3.1
        let challenge = "Bearer realm=\"rusuden\", error=\"invalid_token\"";
        Self::new(Kind::WrongKey, detail).with_header(WWW_AUTHENTICATE, challenge)
    }

    pub(crate) fn missing_scope(scope: Scope) -> Self {
        let name = scope.name();
        let detail = format!("this needs a key with the scope {name}");
        let challenge =
            format!("Bearer realm=\"rusuden\", error=\"insufficient_scope\", scope=\"{name}\"");
        Self::new(Kind::MissingScope, detail).with_header(WWW_AUTHENTICATE, &challenge)
    }

    pub(crate) fn invalid_field(field: &'static str, detail: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(Kind::InvalidField, detail) }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what}"))
    }

    pub(crate) fn gone(what: &str) -> Self {
        Self::new(Kind::Gone, format!("the {what} was deleted and cannot be restored"))
    }

    /// One request too many; the next one is taken after `wait`.
    pub(crate) fn too_many_requests(wait: std::time::Duration) -> Self {
        // RFC 9110 §10.2.3: whole seconds, so that who waits as long is not too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("slow down: the next request is taken in {seconds} s");
        Self::new(Kind::TooManyRequests, detail)
            .in_japanese(format!("回数が多すぎます。{seconds}秒後に、もう一度お試しください。"))
            .with_header(RETRY_AFTER, &seconds.to_string())
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail).with_header(RETRY_AFTER, "5")
    }

    fn words_ja(&self) -> String {
        let advice = self.kind.parts().advice_ja;
        match &self.detail_ja {
            Some(detail) => detail.clone(),
            None if self.kind.says_all() => advice.to_owned(),
            None => format!("{advice}（{}）", self.detail),
        }
    }

    /// As the client reads it.
    pub(crate) fn told(&self, language: Language) -> ProblemBody {
        let parts = self.kind.parts();
        let (title, detail) = match language {
            Language::Japanese => (parts.title_ja, self.words_ja()),
            Language::English => (parts.title, self.detail.clone()),
        };
        ProblemBody {
            r#type: format!("urn:rusuden:problem:{}", parts.code),
            title,
            status: parts.status.as_u16(),
            code: parts.code,
            detail,
            field: self.field,
        }
    }

    fn body(&self, language: Language) -> Body {
        let told = self.told(language);
        serde_json::to_vec(&told).expect("strings and numbers are always JSON").into()
    }
}

/// Says a refusal, which is English when it is made, in the language that the client prefers.
/// Other answers stay as they are.
pub(super) fn speak(response: &mut Response, language: Language) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return };
    if language == Language::Japanese {
        *response.body_mut() = problem.body(language);
        response.headers_mut().remove(CONTENT_LENGTH);
        let code = HeaderValue::from_static(language.code());
        response.headers_mut().insert(CONTENT_LANGUAGE, code);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let language = Language::English;
        let mut response = Response::new(self.body(language));
        *response.status_mut() = self.kind.parts().status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.code()));
        headers.insert(VARY, ACCEPT_LANGUAGE.into());
        if let Some(header) = &self.header {
            headers.insert(&header.0, header.1.clone());
        }
        // For `speak`, once it is known what the client prefers.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NumberTaken { .. } => {
                Self { field: Some("number"), ..Self::new(Kind::NumberTaken, error.to_string()) }
            }
            StoreError::Contract(error) => error.into(),
            StoreError::Billing(error) => error.into(),
            StoreError::Unreadable { .. } | StoreError::Vault(_) => {
                error!(%error, "A row cannot be read.");
                Self::new(Kind::Internal, "a row cannot be read; the service's log says which")
            }
            _ => {
                error!(%error, "The store failed a request.");
                Self::unavailable("the store cannot answer now; try again in a few seconds")
            }
        }
    }
}

impl From<ObjectError> for Problem {
    fn from(error: ObjectError) -> Self {
        error!(%error, "The object store failed a request.");
        Self::unavailable("sound cannot be read or written now; try again in a few seconds")
    }
}

impl From<MailboxError> for Problem {
    fn from(error: MailboxError) -> Self {
        Self::of(Kind::InvalidField, &error).about(error.field())
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        Self::of(Kind::MalformedQuery, &error).about("q")
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = rejection.body_text();
        match rejection {
            JsonRejection::MissingJsonContentType(_) => {
                Self::new(Kind::UnsupportedMediaType, "send Content-Type: application/json")
            }
            JsonRejection::JsonDataError(_) => Self::new(Kind::InvalidField, detail),
            JsonRejection::BytesRejection(rejection) => rejection.into(),
            _ => Self::new(Kind::MalformedBody, detail),
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::BodyTooLarge,
            _ => Kind::MalformedBody,
        };
        Self::new(kind, rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::new(Kind::MalformedPath, rejection.body_text())
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(Kind::MalformedQuery, rejection.body_text())
    }
}

/// The answer to a panic in a handler: the panic itself goes to the log, not to the client.
pub(crate) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    error!("A request's handler panicked.");
    Problem::new(Kind::Internal, "a fault of the service; its log says more").into_response()
}

/// The answer where no route is.
pub(crate) async fn no_route() -> Problem {
    Problem::new(Kind::NotFound, "there is nothing at this path; see /docs")
}

/// The answer where a route is, but not for this method.
pub(crate) async fn no_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "see /docs for the methods of this path")
}
