//! Every refusal of the API, as RFC 9457 problem details. One kind, one status, one sentence.

use axum::extract::rejection::{BytesRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use crate::keys::Scope;
use crate::mailbox::MailboxError;
use crate::objects::ObjectError;
use crate::search::SearchError;
use crate::store::StoreError;
use crate::subscriber::DeviceNameError;

/// Media type of problem details (RFC 9457 §3).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// What may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MalformedBody,
    MalformedPath,
    MalformedQuery,
    MalformedHeader,
    NoKey,
    WrongKey,
    MissingScope,
    NoSession,
    WrongSession,
    NotFound,
    MethodNotAllowed,
    NumberTaken,
    TooMany,
    ContractExists,
    CarrierVoicemailActive,
    MailboxOfContract,
    TermsNotAccepted,
    SerialUnknown,
    SerialRedeemed,
    ChangedMeanwhile,
    MonthNotOver,
    EarlierMonthOpen,
    BeforeFirstMonth,
    MonthOpen,
    NotAcceptable,
    BlockedCallersFull,
    NotReady,
    Gone,
    BodyTooLarge,
    UnsupportedMediaType,
    RepeatKeyReused,
    RangeNotSatisfiable,
    InvalidField,
    InvalidSound,
    Internal,
    NoNumberFree,
    Unavailable,
}

impl Kind {
    /// Status, stable code, title.
    #[expect(clippy::too_many_lines, reason = "one table, one kind after the other")]
    const fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::MalformedBody => {
                (StatusCode::BAD_REQUEST, "malformed_body", "The body cannot be read")
            }
            Self::MalformedPath => {
                (StatusCode::BAD_REQUEST, "malformed_path", "The path cannot be read")
            }
            Self::MalformedQuery => {
                (StatusCode::BAD_REQUEST, "malformed_query", "The query cannot be read")
            }
            Self::MalformedHeader => {
                (StatusCode::BAD_REQUEST, "malformed_header", "A header cannot be read")
            }
            Self::NoKey => (StatusCode::UNAUTHORIZED, "no_key", "An API key is needed"),
            Self::WrongKey => {
                (StatusCode::UNAUTHORIZED, "wrong_key", "The API key is unknown or revoked")
            }
            Self::MissingScope => {
                (StatusCode::FORBIDDEN, "missing_scope", "The API key may not do this")
            }
            Self::NoSession => (StatusCode::UNAUTHORIZED, "no_session", "A session is needed"),
            Self::WrongSession => {
                (StatusCode::UNAUTHORIZED, "wrong_session", "The session is unknown or over")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such thing"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "This path does not take this method",
            ),
            Self::NumberTaken => {
                (StatusCode::CONFLICT, "number_taken", "The number already has a mailbox")
            }
            Self::TooMany => (StatusCode::CONFLICT, "too_many", "There are too many already"),
            Self::ContractExists => {
                (StatusCode::CONFLICT, "contract_exists", "The line already has a contract")
            }
            Self::CarrierVoicemailActive => (
                StatusCode::CONFLICT,
                "carrier_voicemail_active",
                "The line has the carrier's own voicemail",
            ),
            Self::MailboxOfContract => {
                (StatusCode::CONFLICT, "mailbox_of_contract", "The mailbox belongs to a contract")
            }
            Self::TermsNotAccepted => {
                (StatusCode::CONFLICT, "terms_not_accepted", "The terms were not accepted")
            }
            Self::SerialUnknown => {
                (StatusCode::NOT_FOUND, "serial_unknown", "The serial number is unknown")
            }
            Self::SerialRedeemed => {
                (StatusCode::CONFLICT, "serial_redeemed", "The serial number was redeemed")
            }
            Self::ChangedMeanwhile => {
                (StatusCode::CONFLICT, "changed_meanwhile", "Another change came between")
            }
            Self::BlockedCallersFull => {
                (StatusCode::CONFLICT, "blocked_callers_full", "No more callers can be blocked")
            }
            Self::MonthNotOver => (StatusCode::CONFLICT, "month_not_over", "The month is not over"),
            Self::EarlierMonthOpen => {
                (StatusCode::CONFLICT, "earlier_month_open", "An earlier month is open")
            }
            Self::BeforeFirstMonth => {
                (StatusCode::CONFLICT, "before_first_month", "Billing began later")
            }
            Self::MonthOpen => (StatusCode::CONFLICT, "month_open", "The month is still open"),
            Self::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, "not_acceptable", "No accepted format is offered")
            }
            Self::NotReady => (StatusCode::CONFLICT, "not_ready", "This is not made yet"),
            Self::Gone => (StatusCode::GONE, "gone", "This was deleted"),
            Self::BodyTooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large")
            }
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "This path does not take this media type",
            ),
            Self::RepeatKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The Idempotency-Key belongs to another request",
            ),
            Self::RangeNotSatisfiable => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                "range_not_satisfiable",
                "The range lies outside of the sound",
            ),
            Self::InvalidField => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", "A field cannot be so")
            }
            Self::InvalidSound => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid_sound", "The sound cannot be used")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The service failed"),
            Self::NoNumberFree => {
                (StatusCode::SERVICE_UNAVAILABLE, "no_number_free", "No 050 number is free")
            }
            Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The service cannot do this now")
            }
        }
    }
}

/// Problem details as the client reads them (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
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

    pub(crate) fn no_session() -> Self {
        let detail = "send the header Authorization: Bearer rst_… with the token that the set-up \
                      gave; begin a set-up with POST /v1/setup";
        Self::new(Kind::NoSession, detail).with_header(WWW_AUTHENTICATE, "Bearer realm=\"rusuden\"")
    }

    pub(crate) fn wrong_session() -> Self {
        let detail = "the session is malformed, unknown or signed out; set the app up again";
        let challenge = "Bearer realm=\"rusuden\", error=\"invalid_token\"";
        Self::new(Kind::WrongSession, detail).with_header(WWW_AUTHENTICATE, challenge)
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

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, detail).with_header(RETRY_AFTER, "5")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind.parts();
        let body = ProblemBody {
            r#type: format!("urn:rusuden:problem:{code}"),
            title,
            status: status.as_u16(),
            code,
            detail: self.detail,
            field: self.field,
        };
        let body = serde_json::to_vec(&body).expect("strings and numbers are always JSON");
        let mut response = (status, [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))], body)
            .into_response();
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
            StoreError::Unreadable { .. } => {
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

impl From<DeviceNameError> for Problem {
    fn from(error: DeviceNameError) -> Self {
        Self::new(Kind::InvalidField, error.to_string()).about("name")
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
