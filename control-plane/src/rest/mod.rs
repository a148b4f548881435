//! The REST API. In: HTTP requests with an API key. Out: JSON, sound, events, and problem details
//! (RFC 9457) for everything that is refused, routes that do not exist and panics included.

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LENGTH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, debug, info_span};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::problem::{Kind, Problem};
use crate::limits::{FILE_FORM_BYTES_MAX, GREETING_BYTES_MAX, JSON_BYTES_MAX};
use crate::plane::ControlPlane;

mod accept;
mod audio;
mod audit;
mod auth;
mod billing;
mod blocked;
mod bytes;
mod campaigns;
mod cancellations;
mod client;
mod contract_problems;
mod contracts;
mod deletions;
mod devices;
mod edge;
mod events;
mod export;
mod extract;
mod greeting;
mod guides;
mod japanese;
mod lines;
mod mailboxes;
mod me;
mod me_forwarding;
mod me_messages;
mod me_own;
mod me_push;
mod me_settings;
mod messages;
mod numbers;
mod openapi;
mod page;
mod problem;
mod problem_kind;
mod refusals;
mod repeat;
mod scan;
mod segments;
mod service;
mod setup;
mod setup_steps;
mod setup_view;
mod sound;
mod subscriber;
mod subscriber_problem;
mod terms;
mod webhook_bodies;
mod webhooks;

pub(crate) use self::edge::Edge;
pub use self::edge::EdgeConfig;

/// Path of the API's description.
const DESCRIPTION: &str = "/v1/openapi.json";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 64;

/// The whole API with its documentation at `/docs`, which loads nothing from elsewhere.
pub(crate) fn router(plane: ControlPlane) -> axum::Router {
    let greetings = OpenApiRouter::new()
        .routes(routes!(greeting::put, greeting::get, greeting::remove))
        .routes(routes!(
            me_settings::put_greeting,
            me_settings::get_greeting,
            me_settings::remove_greeting
        ))
        .layer(DefaultBodyLimit::max(GREETING_BYTES_MAX))
        .layer(middleware::from_fn(refuse_long::<GREETING_BYTES_MAX>));
    let api = OpenApiRouter::with_openapi(openapi::Api::openapi())
        .routes(routes!(mailboxes::create, mailboxes::list))
        .routes(routes!(mailboxes::show, mailboxes::update, mailboxes::remove))
        .routes(routes!(blocked::list, blocked::block))
        .routes(routes!(blocked::unblock))
        .routes(routes!(export::export))
        .routes(routes!(messages::list))
        .routes(routes!(messages::show, messages::update, messages::remove))
        .routes(routes!(messages::text))
        .routes(routes!(segments::segments))
        .routes(routes!(sound::audio))
        .routes(routes!(sound::recording))
        .routes(routes!(campaigns::create, campaigns::list))
        .routes(routes!(campaigns::show))
        .routes(routes!(billing::list))
        .routes(routes!(billing::show))
        .routes(routes!(billing::close))
        .routes(routes!(billing::adjust))
        .routes(routes!(billing::usage))
        .routes(routes!(contracts::create, contracts::list))
        .routes(routes!(contracts::show))
        .routes(routes!(cancellations::preview, cancellations::cancel, cancellations::reinstate))
        .routes(routes!(lines::show))
        .routes(routes!(lines::carrier_voicemail_on, lines::carrier_voicemail_off))
        .routes(routes!(lines::set_flag, lines::clear_flag))
        .routes(routes!(lines::roaming))
        .routes(routes!(numbers::add, numbers::count))
        .routes(routes!(terms::publish, terms::list))
        .routes(routes!(audit::list))
        .routes(routes!(deletions::show))
        .routes(routes!(deletions::key))
        .routes(routes!(events::watch))
        .routes(routes!(webhooks::create, webhooks::list))
        .routes(routes!(webhooks::show, webhooks::update, webhooks::remove))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::deliveries))
        .routes(routes!(webhooks::replay))
        .merge(subscribers())
        .routes(routes!(guides::list))
        .routes(routes!(guides::show))
        .routes(routes!(service::capabilities))
        .routes(routes!(service::healthz))
        .routes(routes!(service::readyz))
        .layer(DefaultBodyLimit::max(JSON_BYTES_MAX))
        .layer(middleware::from_fn(refuse_long::<JSON_BYTES_MAX>))
        .merge(greetings)
        .merge(files());
    let (router, mut description) = api.split_for_parts();
    refusals::document(&mut description);
    // Without "none" the page would ask a validator on the internet.
    let config = Config::new([DESCRIPTION]).validator_url("none");
    router
        .merge(SwaggerUi::new("/docs").url(DESCRIPTION, description).config(config))
        .fallback(problem::no_route)
        .method_not_allowed_fallback(problem::no_method)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(plane.clone(), edge::admit))
        .layer(middleware::from_fn_with_state(plane.clone(), edge::secure))
        .layer(middleware::from_fn(around))
        .with_state(plane)
}

/// Where sound files are read: larger bodies, and refusals that OpenAI's clients understand.
fn files() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(audio::transcriptions))
        .routes(routes!(audio::translations))
        .layer(DefaultBodyLimit::max(FILE_FORM_BYTES_MAX))
        .layer(middleware::from_fn(refuse_long::<FILE_FORM_BYTES_MAX>))
        .layer(middleware::from_fn(audio::also_as_openai))
}

/// What a subscriber's own app talks to.
fn subscribers() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(devices::list, devices::sign_out_all))
        .routes(routes!(devices::rename, devices::sign_out))
        .routes(routes!(devices::sign_out_self))
        .routes(routes!(me_messages::list))
        .routes(routes!(me_messages::show, me_messages::update, me_messages::remove))
        .routes(routes!(me_messages::text))
        .routes(routes!(me_messages::segments))
        .routes(routes!(me_messages::audio))
        .routes(routes!(me_messages::events))
        .routes(routes!(me_own::blocked, me_own::block))
        .routes(routes!(me_own::unblock))
        .routes(routes!(me_own::export))
        .routes(routes!(me_settings::show, me_settings::update))
        .routes(routes!(me_push::show, me_push::put, me_push::remove))
        .routes(routes!(me::show))
        .routes(routes!(me::cancellation))
        .routes(routes!(me_forwarding::show))
        .routes(routes!(me_forwarding::test))
        .routes(routes!(setup::begin, setup::show))
        .routes(routes!(setup::serial))
        .routes(routes!(setup::restore))
        .routes(routes!(setup::purchase))
        .routes(routes!(setup::terms))
        .routes(routes!(setup::device))
        .routes(routes!(setup::code))
        .routes(routes!(me_settings::notifications, me_settings::update_notifications))
}

/// Gives every request an id, and every answer the headers that all answers carry.
async fn around(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let span = info_span!("request", id = %id, method = %request.method());
    let language = accept::language(request.headers().get(ACCEPT_LANGUAGE));
    let mut response = next.run(request).instrument(span.clone()).await;
    span.in_scope(|| debug!(status = response.status().as_u16(), "A request was answered."));
    problem::speak(&mut response, language);
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Answers speak of subscribers: no cache but the client's own may keep them.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    response
}

/// Refuses a body by its announced length, before the client has sent it.
async fn refuse_long<const BYTES_MAX: usize>(request: Request, next: Next) -> Response {
    let announced = request.headers().get(CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(bytes) if bytes > BYTES_MAX as u64 => {
            let detail = format!("The body has {bytes} bytes; at most {BYTES_MAX} are taken.");
            Problem::new(Kind::BodyTooLarge, detail).into_response()
        }
        _ => next.run(request).await,
    }
}

/// The client's own id if it is short and plain, else a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let is_plain = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    given.filter(is_plain).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}
