//! The API's description (OpenAPI 3.1): what does not belong to one handler. What handlers may
//! refuse is added by `refusals`.

use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::ProblemBody;

/// What does not belong to one handler.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Rusuden",
        version = env!("CARGO_PKG_VERSION"),
        description = "Smart voicemail: mailboxes, messages, their text and sound.\n\n\
            Refusals are problem details (RFC 9457), each with a stable `code`; title and detail are \
            English, or Japanese if `Accept-Language` prefers it. Lists come in pages with an \
            opaque cursor.",
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
