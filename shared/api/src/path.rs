//! The parts of a path that name something. A text that can't be a name names nothing: 404.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use tracking_core::id::Id;

use crate::problem::Problem;

/// The named parts of a path.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::from_request_parts(parts, state).await.map_err(|_| Problem::not_found())?;
        Ok(Self(named))
    }
}

/// The one id of a path.
#[derive(Debug)]
pub(crate) struct NamedId(pub(crate) Id);

impl<S: Send + Sync> FromRequestParts<S> for NamedId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Named(id) = Named::<Id>::from_request_parts(parts, state).await?;
        Ok(Self(id))
    }
}
