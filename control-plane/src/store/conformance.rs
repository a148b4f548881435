//! What any backend must do.

use super::Store;

/// Runs the suite.
pub(crate) async fn run(store: &impl Store) {
    store.check_writable().await.unwrap();
}
