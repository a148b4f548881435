//! What handlers take from requests, each refused as a problem.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Json, Path, Query, Request};
use axum::http::request::Parts;
use engine_core::id::IdError;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::problem::{Kind, Problem};

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// A body of bytes.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(Bytes::from_request(request, state).await?))
    }
}

/// The one id in a path.
pub(crate) struct PathId<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err = IdError>> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        let id =
            text.parse().map_err(|e: IdError| Problem::new(Kind::MalformedPath, e.to_string()));
        Ok(Self(id?))
    }
}

/// The two ids in a path.
pub(crate) struct PathIds<A, B>(pub(crate) A, pub(crate) B);

impl<S, A, B> FromRequestParts<S> for PathIds<A, B>
where
    S: Send + Sync,
    A: FromStr<Err = IdError>,
    B: FromStr<Err = IdError>,
{
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path((a, b)) = Path::<(String, String)>::from_request_parts(parts, state).await?;
        let malformed = |e: IdError| Problem::new(Kind::MalformedPath, e.to_string());
        Ok(Self(a.parse().map_err(malformed)?, b.parse().map_err(malformed)?))
    }
}

/// Several things in a path, or one that is no id.
pub(crate) struct PathOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathOf<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(parts) = Path::<T>::from_request_parts(parts, state).await?;
        Ok(Self(parts))
    }
}

/// The query.
pub(crate) struct QueryOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(query) = Query::from_request_parts(parts, state).await?;
        Ok(Self(query))
    }
}

/// Describes a text that holds more than white space (`str::trim` takes the characters of Unicode's
/// property `White_Space`, which the pattern names one by one).
pub(crate) fn wordy(chars_max: usize) -> ObjectBuilder {
    const WORD: &str = r"[^\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(chars_max))
        .pattern(Some(WORD))
}

/// A whole number of JSON, which does not tell 5 from 5.0 (RFC 8259 §6).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole(pub(crate) u32);

/// The same, below zero, too.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct SignedWhole(pub(crate) i64);

impl<'de> Deserialize<'de> for SignedWhole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Beyond 2^53 a number of JSON is not exact (RFC 8259 §6).
        const END: f64 = 9_007_199_254_740_992.0;
        let number = f64::deserialize(deserializer)?;
        let is_whole = number.fract() == 0.0 && (-END..=END).contains(&number);
        if is_whole { Ok(Self(number as i64)) } else { Err(D::Error::custom("not a whole number")) }
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
        if is_whole { Ok(Self(number as u32)) } else { Err(D::Error::custom("not a whole number")) }
    }
}
