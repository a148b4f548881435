//! Everything that the API may refuse, as one table: status, stable code, title (RFC 9457). Knows
//! nothing of a single request.

use axum::http::StatusCode;

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
    NoSetup,
    WrongSetup,
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
    WrongStep,
    CarrierContractExists,
    PurchaseNotOffered,
    CodeOver,
    ChangedMeanwhile,
    MonthNotOver,
    EarlierMonthOpen,
    BeforeFirstMonth,
    MonthOpen,
    NotAcceptable,
    BlockedCallersFull,
    PushEndpointsFull,
    NotReady,
    Gone,
    BodyTooLarge,
    UnsupportedMediaType,
    RepeatKeyReused,
    RangeNotSatisfiable,
    InvalidField,
    InvalidSound,
    WrongCode,
    TooManyRequests,
    Internal,
    NoNumberFree,
    Unavailable,
}

impl Kind {
    /// Status, stable code, title.
    #[expect(clippy::too_many_lines, reason = "one table, one kind after the other")]
    pub(super) const fn parts(self) -> (StatusCode, &'static str, &'static str) {
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
            Self::NoSetup => (StatusCode::UNAUTHORIZED, "no_setup", "A set-up is needed"),
            Self::WrongSetup => {
                (StatusCode::UNAUTHORIZED, "wrong_setup", "The set-up is unknown or over")
            }
            Self::WrongStep => {
                (StatusCode::CONFLICT, "wrong_step", "The set-up asks for something else")
            }
            Self::CarrierContractExists => (
                StatusCode::CONFLICT,
                "carrier_contract_exists",
                "There is a contract through the carrier",
            ),
            Self::PurchaseNotOffered => {
                (StatusCode::CONFLICT, "purchase_not_offered", "Nothing can be purchased here")
            }
            Self::CodeOver => (StatusCode::CONFLICT, "code_over", "The code holds no longer"),
            Self::WrongCode => {
                (StatusCode::UNPROCESSABLE_ENTITY, "wrong_code", "The code is wrong")
            }
            Self::TooManyRequests => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "This comes too often")
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
            Self::PushEndpointsFull => {
                (StatusCode::CONFLICT, "push_endpoints_full", "Too many devices take push")
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
