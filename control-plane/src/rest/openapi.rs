//! The API's description (OpenAPI 3.1): handlers describe what they do; what every handler may
//! refuse is added here, so that no refusal goes undocumented.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Description, Ref, Response};
use utoipa::{Modify, OpenApi};

use super::problem::{PROBLEM_JSON, ProblemBody};

/// What does not belong to one handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rusuden",
        version = env!("CARGO_PKG_VERSION"),
        description = "Smart voicemail: mailboxes, messages, their text and sound.\n\n\
            Refusals are problem details (RFC 9457). Lists come in pages with an opaque cursor.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "mailboxes", description = "A subscriber's 050 number, greeting and notices"),
        (name = "messages", description = "What callers left"),
        (name = "audio", description = "Sound files to text, as OpenAI's clients ask for it"),
        (name = "billing", description = "Months as the carrier bills them"),
        (name = "campaigns", description = "What is free at first, version by version"),
        (name = "contracts", description = "From application to end"),
        (name = "lines", description = "Subscribers' own numbers, their voicemail and flags"),
        (name = "numbers", description = "The pool of 050 numbers"),
        (name = "terms", description = "Terms of service"),
        (name = "audit", description = "Who changed what"),
        (name = "events", description = "What happens now"),
        (name = "webhooks", description = "Operators' programs that are told of events"),
        (name = "setup", description = "A subscriber's app from its first start to the first call"),
        (name = "subscriber", description = "What a subscriber's own app sees and changes"),
        (name = "guides", description = "How to forward calls to the 050 number"),
        (name = "service", description = "What this deployment offers, and how it is")
    ),
    components(schemas(ProblemBody)),
    modifiers(&Key)
)]
pub(crate) struct Api;

struct Key;

impl Modify for Key {
    fn modify(&self, api: &mut Description) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("rsk_…".to_owned());
        bearer.description = Some("An API key made with `rusuden key create`".to_owned());
        api.components
            .get_or_insert_default()
            .add_security_scheme("key", SecurityScheme::Http(bearer));
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("rst_…".to_owned());
        bearer.description = Some("The session of a subscriber's device".to_owned());
        api.components
            .get_or_insert_default()
            .add_security_scheme("session", SecurityScheme::Http(bearer));
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.bearer_format = Some("rsu_…".to_owned());
        bearer.description = Some("A set-up under way".to_owned());
        api.components
            .get_or_insert_default()
            .add_security_scheme("setup", SecurityScheme::Http(bearer));
    }
}

/// Adds to every operation what it may refuse.
pub(crate) fn document_refusals(api: &mut Description) {
    for (path, item) in &mut api.paths.paths {
        // Any line and any month can be asked about: none is unknown.
        let by_id = path.contains('{') && !path.contains("{line}") && !path.contains("{month}");
        for operation in operations(item) {
            for (status, words) in refusals(operation, path, by_id) {
                let taken = operation.responses.responses.contains_key(status);
                if !taken {
                    let response = problem(words);
                    operation.responses.responses.insert(status.to_owned(), response.into());
                }
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn refusals(
    operation: &Operation,
    path: &str,
    by_id: bool,
) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
    let has_key = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|all| !all.is_empty());
    let has_range = operation.responses.responses.contains_key("206");
    let may_wait = ["/text", "/segments", "/audio.mp3"].iter().any(|end| path.ends_with(end));
    let changes_mailbox = path.starts_with("/v1/mailboxes") && !path.ends_with("/messages");
    // It may name a message that is not there.
    let blocks = path == "/v1/me/blocked-callers" && has_body;
    let makes_one_of_few = blocks || ["/v1/me/push", "/v1/webhooks"].contains(&path) && has_body;
    let waits = may_wait || path.starts_with("/v1/deletions");
    let may_conflict = changes_mailbox || waits || makes_one_of_few || path.ends_with("/greeting");
    let is_setup = path.starts_with("/v1/setup");
    let is_subscribers = path.starts_with("/v1/me") || is_setup;
    let is_step = is_setup && path != "/v1/setup";
    let finds_serial = ["/setup/serial", "/setup/restore"].iter().any(|end| path.ends_with(end));
    let is_counted = path.starts_with("/v1/");
    let may_miss = by_id || blocks || finds_serial || path == "/v1/me/greeting";
    // Guides are data of the program, versions stay, a webhook's row goes with it, and a contract
    // is shown when it is over.
    let leaves_none = ["/v1/guides", "/v1/campaigns", "/v1/webhooks", "/v1/deletions"];
    let leaves_none = leaves_none.iter().any(|start| path.starts_with(start));
    let may_be_gone = by_id && !leaves_none && path != "/v1/contracts/{id}";
    let all = [
        (has_body || has_parameters, "400", "Path, query or body cannot be read"),
        (has_key, "401", "The API key or session is missing, unknown or over"),
        (has_key && !is_subscribers, "403", "The API key lacks the scope"),
        (may_miss, "404", "There is no such thing"),
        (may_conflict || is_step, "409", "It is not made yet, taken, or was changed meanwhile"),
        (may_be_gone || is_subscribers && has_key, "410", "It was deleted, or the contract ended"),
        (has_body, "413", "The body is too large"),
        (has_body, "415", "The media type is not taken here"),
        (has_range, "416", "The range lies outside"),
        (has_body, "422", "A field or the sound cannot be so"),
        (is_counted, "429", "It comes too often; Retry-After says when to come again"),
        (has_key || is_setup, "500", "The service failed"),
        (has_key || is_setup, "503", "The service cannot do this now"),
    ];
    all.into_iter().filter(|(may, ..)| *may).map(|(_, status, words)| (status, words))
}

fn problem(words: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    let mut response = Response::new(words);
    response.content.insert(PROBLEM_JSON.to_owned(), content.into());
    response
}
