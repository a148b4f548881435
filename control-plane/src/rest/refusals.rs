//! What each operation of the API may refuse, for its description. In: the operations as handlers
//! describe them. Out: the same with every refusal, by status and stable code. Knows the handlers
//! by their routes only; tests compare what is answered with what is said here.

use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response};

use super::problem::{Kind, PROBLEM_JSON};

/// Adds to every operation what it may refuse.
pub(super) fn document(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            let kinds = Asked::of(method, path, operation).refusals();
            for (status, words) in STATUSES {
                let codes = kinds.iter().map(|kind| kind.parts());
                let codes = codes.filter(|parts| parts.status.as_u16() == status);
                let codes: Vec<_> = codes.map(|parts| parts.code).collect();
                if !codes.is_empty() {
                    put(operation, status, words, codes);
                }
            }
        }
    }
}

const STATUSES: [(u16, &str); 14] = [
    (400, "Path, query, header or body cannot be read"),
    (401, "The API key, session or set-up is missing, unknown or over"),
    (403, "The API key lacks the scope"),
    (404, "There is no such thing"),
    (406, "What is accepted is not offered"),
    (409, "It is not made yet, taken, or was changed meanwhile"),
    (410, "It was deleted, or the contract ended"),
    (413, "The body is too large"),
    (415, "The media type is not taken here"),
    (416, "The range lies outside"),
    (422, "A field or the sound cannot be so"),
    (429, "It comes too often; Retry-After says when to come again"),
    (500, "The service failed"),
    (503, "The service cannot do this now"),
];

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("patch", &mut item.patch),
        ("delete", &mut item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Documents the codes of one status; what the handler says of it stays.
fn put(operation: &mut Operation, status: u16, words: &str, codes: Vec<&'static str>) {
    let responses = &mut operation.responses.responses;
    let known = responses.remove(&status.to_string());
    let mut response = match known {
        Some(RefOr::T(response)) => response,
        _ => Response::new(words),
    };
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
    let schema = AllOfBuilder::new()
        .item(Ref::from_schema_name("Problem"))
        .item(ObjectBuilder::new().property("code", code));
    let content = Content::new(Some(Schema::from(schema.build())));
    response.content.insert(PROBLEM_JSON.to_owned(), content.into());
    responses.insert(status.to_string(), response.into());
}

/// What tells which refusals an operation has.
struct Asked<'a> {
    method: &'a str,
    path: &'a str,
    is_secured: bool,
    has_body: bool,
    has_query: bool,
    has_repeat_key: bool,
    has_range: bool,
}

impl<'a> Asked<'a> {
    fn of(method: &'a str, path: &'a str, operation: &Operation) -> Self {
        let parameters = operation.parameters.iter().flatten();
        let parameters: Vec<_> = parameters
            .filter_map(|parameter| match parameter {
                RefOr::T(parameter) => Some(parameter),
                RefOr::Ref(_) => None,
            })
            .collect();
        Self {
            method,
            path,
            is_secured: operation.security.is_some(),
            has_body: operation.request_body.is_some(),
            has_query: parameters.iter().any(|p| matches!(p.parameter_in, ParameterIn::Query)),
            has_repeat_key: parameters.iter().any(|p| p.name == "Idempotency-Key"),
            has_range: operation.responses.responses.contains_key("206"),
        }
    }

    fn refusals(&self) -> Vec<Kind> {
        let Self { path, .. } = *self;
        let is_counted = path.starts_with("/v1/");
        let is_setup = path.starts_with("/v1/setup");
        let has_rows = self.is_secured || is_setup;
        let groups: [(bool, &[Kind]); 16] = [
            (path.contains('{'), &[Kind::MalformedPath]),
            (self.has_query, &[Kind::MalformedQuery]),
            (self.has_repeat_key, &[Kind::MalformedHeader]),
            (self.has_body, &[Kind::MalformedBody, Kind::UnsupportedMediaType]),
            (self.is_secured, self.strangers()),
            (self.may_miss(), &[Kind::NotFound]),
            (self.ends("/setup/serial") || self.ends("/setup/restore"), &[Kind::SerialUnknown]),
            (self.ends("/billing/months/{month}"), &[Kind::NotAcceptable]),
            (true, self.conflicts()),
            (self.may_be_gone(), &[Kind::Gone]),
            (true, &[Kind::BodyTooLarge]),
            (self.has_range, &[Kind::RangeNotSatisfiable]),
            (self.has_body, self.invalid()),
            (is_counted, &[Kind::TooManyRequests]),
            (has_rows, &[Kind::Internal, Kind::Unavailable]),
            (self.ends("/setup/terms"), &[Kind::NoNumberFree]),
        ];
        let groups = groups.into_iter().filter(|(may, _)| *may);
        groups.flat_map(|(_, kinds)| kinds).copied().collect()
    }

    fn ends(&self, end: &str) -> bool {
        self.path.ends_with(end)
    }

    fn is_subscribers(&self) -> bool {
        self.path == "/v1/me" || self.path.starts_with("/v1/me/")
    }

    /// Who is not let in.
    fn strangers(&self) -> &'static [Kind] {
        if self.is_subscribers() {
            &[Kind::NoSession, Kind::WrongSession]
        } else if self.path.starts_with("/v1/setup") {
            &[Kind::NoSetup, Kind::WrongSetup]
        } else {
            &[Kind::NoKey, Kind::WrongKey, Kind::MissingScope]
        }
    }

    /// Any line and any month can be asked about: none is unknown.
    fn is_by_id(&self) -> bool {
        let is_free = self.path.contains("{line}") || self.path.contains("{month}");
        self.path.contains('{') && !is_free
    }

    fn may_miss(&self) -> bool {
        self.is_by_id()
            // It may name a message that is not there.
            || self.path == "/v1/me/blocked-callers" && self.has_body
            || (self.method, self.path) == ("get", "/v1/me/greeting")
            || self.ends("/roaming")
            || self.ends("/adjustments")
    }

    /// Guides are data of the program, versions stay, a webhook's row goes with it, and a contract
    /// is shown when it is over.
    fn may_be_gone(&self) -> bool {
        let leaves_none = ["/v1/guides", "/v1/campaigns", "/v1/webhooks", "/v1/deletions"];
        let leaves_none = leaves_none.iter().any(|start| self.path.starts_with(start));
        let stays = leaves_none || self.path == "/v1/contracts/{id}";
        let is_setup = self.path.starts_with("/v1/setup") && self.is_secured;
        self.is_by_id() && !stays || self.is_subscribers() || is_setup
    }

    fn conflicts(&self) -> &'static [Kind] {
        match (self.method, self.path) {
            ("post", "/v1/mailboxes") => &[Kind::NumberTaken],
            ("delete", "/v1/mailboxes/{id}") => &[Kind::MailboxOfContract],
            ("patch", "/v1/mailboxes/{id}" | "/v1/me/settings" | "/v1/me/notifications")
            | ("put" | "delete", "/v1/mailboxes/{id}/greeting" | "/v1/me/greeting") => {
                &[Kind::ChangedMeanwhile]
            }
            ("post", path) if path.ends_with("/blocked-callers") => &[Kind::BlockedCallersFull],
            ("get", "/v1/deletions/{mailbox}") => &[Kind::NotReady],
            ("get", path) if MADE_LATER.iter().any(|end| path.ends_with(end)) => &[Kind::NotReady],
            ("put", "/v1/me/push") => &[Kind::PushEndpointsFull],
            ("post", "/v1/webhooks") => &[Kind::TooMany],
            ("post", "/v1/contracts") => &[Kind::ContractExists, Kind::CarrierVoicemailActive],
            ("put", "/v1/lines/{line}/carrier-voicemail") => &[Kind::ContractExists],
            ("post", "/v1/billing/months/{month}/close") => {
                &[Kind::MonthNotOver, Kind::EarlierMonthOpen, Kind::BeforeFirstMonth]
            }
            ("post", "/v1/billing/months/{month}/adjustments") => &[Kind::MonthOpen],
            ("post", "/v1/setup/serial") => {
                &[Kind::WrongStep, Kind::SerialRedeemed, Kind::ChangedMeanwhile]
            }
            ("post", "/v1/setup/restore" | "/v1/setup/device") => {
                &[Kind::WrongStep, Kind::ChangedMeanwhile]
            }
            ("post", "/v1/setup/purchase") => {
                &[Kind::CarrierContractExists, Kind::PurchaseNotOffered]
            }
            ("post", "/v1/setup/terms") => &[
                Kind::WrongStep,
                Kind::TermsNotAccepted,
                Kind::SerialRedeemed,
                Kind::ChangedMeanwhile,
            ],
            ("post", "/v1/setup/code") => &[Kind::WrongStep, Kind::CodeOver],
            _ => &[],
        }
    }

    fn invalid(&self) -> &'static [Kind] {
        match self.path {
            path if path.ends_with("/greeting") => &[Kind::InvalidSound],
            path if path.starts_with("/v1/audio/") => &[Kind::InvalidField, Kind::InvalidSound],
            "/v1/setup/code" => &[Kind::InvalidField, Kind::WrongCode],
            _ if self.has_repeat_key => &[Kind::InvalidField, Kind::RepeatKeyReused],
            _ => &[Kind::InvalidField],
        }
    }
}

/// What of a message is made after it is there.
const MADE_LATER: [&str; 3] = ["/text", "/segments", "/audio.mp3"];
