//! REST.

use crate::plane::ControlPlane;

pub(crate) fn router(_plane: ControlPlane) -> axum::Router {
    axum::Router::new()
}
