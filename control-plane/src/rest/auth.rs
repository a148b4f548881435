//! Who may do what: a bearer key (RFC 6750) with the scope that a handler names in its type.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::audit::{Actor, Change};
use crate::clock;
use crate::keys::{ApiKey, Scope};
use crate::plane::ControlPlane;

/// Names a scope as a type.
pub(crate) trait Needs {
    /// The scope.
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident)*) => {$(
        #[doc = concat!("The scope ", stringify!($name), " as a type.")]
        pub(crate) struct $name;
        impl Needs for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

needs! {
    MailboxesRead MailboxesWrite MessagesRead MessagesWrite RecordingsRead EventsRead
    WebhooksRead WebhooksWrite
    BillingRead BillingWrite CampaignsWrite
    ContractsRead ContractsWrite NumbersRead NumbersWrite AuditRead TranscriptionsWrite
}

/// Proof that the request came with a key that has the scope. Handlers take it first, so that
/// nothing else of a request is looked at before.
pub(crate) struct May<N> {
    key: ApiKey,
    scope: PhantomData<N>,
}

impl<N> May<N> {
    /// A change that the key's owner makes now.
    pub(crate) fn change(&self) -> Change {
        Change { by: Actor::Key(self.key.id), at: clock::now() }
    }

    /// Whether the key has another scope as well.
    pub(crate) fn also(&self, scope: Scope) -> bool {
        self.key.may(scope)
    }
}

impl<N: Needs> FromRequestParts<ControlPlane> for May<N> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> Result<Self, Problem> {
        let secret = bearer(parts).map_err(|fault| match fault {
            BearerFault::Missing => Problem::no_key(),
            BearerFault::Malformed => Problem::wrong_key(),
        })?;
        let key = plane.shared.keys.find(secret).await?.ok_or_else(Problem::wrong_key)?;
        if key.may(N::SCOPE) {
            Ok(Self { key, scope: PhantomData })
        } else {
            Err(Problem::missing_scope(N::SCOPE))
        }
    }
}

/// Why a request shows no bearer token.
pub(crate) enum BearerFault {
    /// There is no such header, or one of another scheme.
    Missing,
    /// The header cannot be read.
    Malformed,
}

/// The bearer token that a request shows (RFC 6750 §2.1).
pub(crate) fn bearer(parts: &Parts) -> Result<&str, BearerFault> {
    let header = parts.headers.get(AUTHORIZATION).ok_or(BearerFault::Missing)?;
    let text = header.to_str().map_err(|_| BearerFault::Malformed)?;
    let (scheme, secret) = text.split_once(' ').ok_or(BearerFault::Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(secret.trim())
    } else {
        Err(BearerFault::Missing)
    }
}
