//! Who may do what: a bearer key (RFC 6750) with the scope that a handler names in its type.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::problem::Problem;
use crate::keys::Scope;
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
}

/// Proof that the request came with a key that has the scope. Handlers take it first, so that
/// nothing else of a request is looked at before.
pub(crate) struct May<N>(PhantomData<N>);

impl<N: Needs> FromRequestParts<ControlPlane> for May<N> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, plane: &ControlPlane) -> Result<Self, Problem> {
        let header = parts.headers.get(AUTHORIZATION).ok_or_else(Problem::no_key)?;
        let text = header.to_str().map_err(|_| Problem::wrong_key())?;
        let (scheme, secret) = text.split_once(' ').ok_or_else(Problem::wrong_key)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(Problem::no_key());
        }
        let key = plane.shared.keys.find(secret.trim()).await?.ok_or_else(Problem::wrong_key)?;
        if key.may(N::SCOPE) {
            Ok(Self(PhantomData))
        } else {
            Err(Problem::missing_scope(N::SCOPE))
        }
    }
}
