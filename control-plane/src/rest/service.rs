//! What this deployment offers, and how it is.

use axum::extract::State;
use axum::http::StatusCode;
use engine_core::codec::Codec;
use serde::Serialize;
use utoipa::ToSchema;

use crate::guide;
use crate::limits::{
    ADDRESSES_MAX, GREETING_BYTES_MAX, PUSH_ENDPOINTS_MAX, RECORDING_LIMIT_S_MAX, WEBHOOKS_MAX,
};
use crate::plane::ControlPlane;
use crate::usage::{UNIT_MS, UNIT_YEN_WITH_TAX};

/// As of when the reference's facts about phones and charges were stated.
const REFERENCE_AS_OF: &str = "2022-11";

/// What this deployment offers (S02).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Capabilities {
    /// Version of the service.
    version: &'static str,
    /// Codecs of calls, in order of preference.
    codecs: Vec<&'static str>,
    /// Languages of announcements and recognition.
    languages: [&'static str; 3],
    /// Longest message, in seconds (S16).
    recording_limit_s_max: u32,
    /// Longest greeting, in seconds.
    greeting_s_max: u64,
    /// Largest greeting upload.
    greeting_bytes_max: usize,
    /// Formats of greetings that can be uploaded.
    greeting_formats: [&'static str; 4],
    /// Format of messages' sound.
    audio_format: &'static str,
    /// How subscribers are told.
    notifications: Vec<Notification>,
    forwarding_charge: ForwardingCharge,
    /// Our key for `pushManager.subscribe` (RFC 8292): base64url.
    push_public_key: String,
    app: App,
    /// Carriers for which there is a forwarding guide.
    guides: Vec<&'static str>,
    /// What can be done.
    features: [&'static str; 12],
}

/// What the inbox asks of a phone (S47–S51).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct App {
    /// Oldest Android.
    android_min: &'static str,
    /// Oldest iOS.
    ios_min: &'static str,
    /// Room it takes, about, in megabytes.
    size_mb: u32,
    /// Memory: as the phone's system recommends.
    memory: &'static str,
    /// As of when this is known to hold: `yyyy-mm`.
    as_of: &'static str,
}

/// A way to be told.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Notification {
    /// `mail`, `sms`, `push`, `webhook`.
    channel: &'static str,
    /// `smtp`, `smpp`, `http`, `web_push`, `https`; `folder` where nothing is configured.
    transport: &'static str,
    /// Most targets of one mailbox; of webhooks, of the deployment.
    targets_max: usize,
}

/// How the charge for forwarding is estimated (S05).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ForwardingCharge {
    /// Yen of a started unit, with tax.
    unit_yen_with_tax: i64,
    /// Length of a unit, in seconds.
    unit_s: u64,
    /// As of when this is known to hold: `yyyy-mm`.
    as_of: &'static str,
}

fn notifications(plane: &ControlPlane) -> Vec<Notification> {
    let ways = &plane.shared.ways;
    let all = [
        ("mail", ways.mailer.name(), ADDRESSES_MAX),
        ("sms", ways.sms.name(), 1),
        ("push", "web_push", PUSH_ENDPOINTS_MAX as usize),
        ("webhook", "https", WEBHOOKS_MAX as usize),
    ];
    let notification =
        |(channel, transport, targets_max)| Notification { channel, transport, targets_max };
    all.map(notification).into()
}

/// States what this deployment offers.
#[utoipa::path(get, path = "/v1/capabilities", tag = "service",
    responses((status = 200, body = Capabilities)))]
pub(crate) async fn capabilities(State(plane): State<ControlPlane>) -> axum::Json<Capabilities> {
    axum::Json(Capabilities {
        version: env!("CARGO_PKG_VERSION"),
        codecs: Codec::ALL.iter().map(|codec| codec.name()).collect(),
        languages: ["ja", "en", "detect"],
        recording_limit_s_max: RECORDING_LIMIT_S_MAX,
        greeting_s_max: engine_core::limits::SOUND_MAX.as_secs(),
        greeting_bytes_max: GREETING_BYTES_MAX,
        greeting_formats: ["audio/wav", "audio/mpeg", "audio/flac", "audio/ogg"],
        audio_format: "audio/mpeg",
        notifications: notifications(&plane),
        forwarding_charge: ForwardingCharge {
            unit_yen_with_tax: UNIT_YEN_WITH_TAX,
            unit_s: UNIT_MS / 1_000,
            as_of: REFERENCE_AS_OF,
        },
        push_public_key: plane.shared.ways.push.public_key(),
        app: App {
            android_min: "6.0",
            ios_min: "13",
            size_mb: 40,
            memory: "os_recommended",
            as_of: REFERENCE_AS_OF,
        },
        guides: guide::all().iter().map(|guide| guide.carrier.as_str()).collect(),
        features: [
            "transcription",
            "segments",
            "confidence",
            "own_greeting",
            "quiet_limit",
            "mail_with_mp3",
            "events",
            "recording_download",
            "search",
            "blocked_callers",
            "export",
            "forwarding_guides",
        ],
    })
}

/// Whether the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// Always `ok`: no answer means it does not.
    status: &'static str,
}

/// Says that the process lives.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, body = Health)))]
pub(crate) async fn healthz() -> axum::Json<Health> {
    axum::Json(Health { status: "ok" })
}

/// Whether the service can take messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Readiness)]
pub(crate) struct ReadinessView {
    /// All of what follows.
    ready: bool,
    /// Rows can be written.
    store: bool,
    /// The workers run.
    workers: bool,
    /// Work finds an engine.
    engine: bool,
}

/// Says whether the service can take messages.
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, body = ReadinessView), (status = 503, body = ReadinessView)))]
pub(crate) async fn readyz(
    State(plane): State<ControlPlane>,
) -> (StatusCode, axum::Json<ReadinessView>) {
    let readiness = plane.readiness().await;
    let ready = readiness.is_ready();
    let view = ReadinessView {
        ready,
        store: readiness.store,
        workers: readiness.workers,
        engine: readiness.engine,
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(view))
}
