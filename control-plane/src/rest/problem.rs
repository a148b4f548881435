//! Every refusal of the API, as RFC 9457 problem details. One kind, one status, one sentence.

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

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
    /// The kind in words.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Stable name of the kind.
    #[schema(example = "not_found")]
    code: &'static str,
    /// What happened this time and what to do.
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
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    field: Option<&'static str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), field: None, header: None }
    }

    /// Names the field that is meant.
    pub(crate) fn about(mut self, field: &'static str) -> Self {
        self.field = Some(field);
        self
    }

    /// Adds a header; the value is ASCII.
    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        // Values come from this module and are ASCII; one that is not is left out.
        self.header = HeaderValue::from_str(value).ok().map(|value| (name, value));
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

    /// A field that cannot be so.
    pub(crate) fn of_field(field: &'static str, detail: impl Into<String>) -> Self {
        Self { field: Some(field), ..Self::new(Kind::InvalidField, detail) }
    }

    pub(crate) fn gone(what: &str) -> Self {
        Self::new(Kind::Gone, format!("the {what} was deleted and cannot be restored"))
    }

    /// One request too many; the next one is taken after `wait`.
    pub(crate) fn too_many_requests(wait: std::time::Duration) -> Self {
        // RFC 9110 §10.2.3: whole seconds, so that who waits as long is not too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail = format!("slow down: the next request is taken in {seconds} s");
        Self::new(Kind::TooManyRequests, detail).with_header(RETRY_AFTER, &seconds.to_string())
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail).with_header(RETRY_AFTER, "5")
    }
}

impl Problem {
    /// As the client reads it.
    pub(crate) fn body(&self) -> ProblemBody {
        let (status, code, title) = self.kind.parts();
        ProblemBody {
            r#type: format!("urn:rusuden:problem:{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: self.detail.clone(),
            field: self.field,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body();
        let bytes = serde_json::to_vec(&body).expect("strings and numbers are always JSON");
        let kind = [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
        let mut response = (self.kind.parts().0, kind, bytes).into_response();
        // For whoever says the same in another way.
        response.extensions_mut().insert(body);
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
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
        Self { field: Some(error.field()), ..Self::new(Kind::InvalidField, error.to_string()) }
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        Self { field: Some("q"), ..Self::new(Kind::MalformedQuery, error.to_string()) }
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
